"""Pictures without a browser session: Kaleido draws them in its own Chrome, on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Literal

from dashboard.export.slide import Picture

ImageForm = Literal["png", "svg"]
MISSING = (
    "pictures need the extra 'slides' (pip install 'quantization-comparison[slides]') and Chrome or Chromium"
)


class RenderError(Exception):
    """Pictures cannot be drawn; the message names what is missing, in one line."""


def render(pictures: Sequence[Picture], scale: float = 1.0, form: ImageForm = "png") -> dict[str, bytes]:
    """Return PNGs by view, `scale` × 1280 pixels wide, or SVGs.

    Raises:
        RenderError: Kaleido or Chrome is missing, or drawing failed.

    """
    if find_spec("kaleido") is None:
        raise RenderError(MISSING)
    try:
        # In its own thread, because the caller's may already run an event loop, as notebooks do.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(_render(pictures, scale, form))).result()
    except Exception as error:  # Kaleido and its driver share no base class
        raise RenderError(
            f"{MISSING}; drawing failed: {type(error).__name__}: {_first_sentence(error)}"
        ) from None


async def _render(pictures: Sequence[Picture], scale: float, form: ImageForm) -> dict[str, bytes]:
    from kaleido import Kaleido, PageGenerator  # an extra

    drawn = {}
    # Otherwise the page would load MathJax from a CDN.
    async with Kaleido(n=1, page_generator=PageGenerator(mathjax=False)) as kaleido:
        for item in pictures:
            size: dict[str, float] = {"width": item.width, "height": item.height}
            size |= {"scale": scale * item.scale} if form == "png" else {}
            drawn[item.slug] = await kaleido.calc_fig(item.figure, opts={"format": form, **size})
    return drawn


def _first_sentence(error: Exception) -> str:
    return " ".join(str(error).split()).partition(". ")[0][:160] or "no reason given"
