"""Pictures without a browser session: Kaleido draws them in its own Chrome, on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

from dashboard.export.slide import Picture

MISSING = (
    "pictures need the extra 'slides' (pip install 'quantization-comparison[slides]') and Chrome or Chromium"
)


class RenderError(Exception):
    """Pictures cannot be drawn; the message names what is missing, in one line."""


def render(pictures: Sequence[Picture], scale: float = 1.0) -> dict[str, bytes]:
    """Return PNGs by view, `scale` × 1280 pixels wide.

    Raises:
        RenderError: Kaleido or Chrome is missing, or drawing failed.

    """
    if find_spec("kaleido") is None:
        raise RenderError(MISSING)
    try:
        # In its own thread, because the caller's may already run an event loop, as notebooks do.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(_render(pictures, scale))).result()
    except Exception as error:  # Kaleido and its driver share no base class
        raise RenderError(
            f"{MISSING}; drawing failed: {type(error).__name__}: {_first_sentence(error)}"
        ) from None


async def _render(pictures: Sequence[Picture], scale: float) -> dict[str, bytes]:
    from kaleido import Kaleido, PageGenerator  # an extra

    pngs = {}
    # Otherwise the page would load MathJax from a CDN.
    async with Kaleido(n=1, page_generator=PageGenerator(mathjax=False)) as kaleido:
        for item in pictures:
            size = {"width": item.width, "height": item.height, "scale": scale * item.scale}
            pngs[item.slug] = await kaleido.calc_fig(item.figure, opts={"format": "png", **size})
    return pngs


def _first_sentence(error: Exception) -> str:
    return " ".join(str(error).split()).partition(". ")[0][:160] or "no reason given"
