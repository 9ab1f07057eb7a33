"""A PDF of vectors: Typst places the SVGs of charts on pages and sets the text around them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dashboard.export.placing import WIDTH
from dashboard.export.slides import book_of
from dashboard.export.svg import SvgError, size_of
from dashboard.results.scope import Scope
from dashboard.shell.naming import model_name
from dashboard.style.theme import SURFACES

_TEMPLATE = "slides.typ"


def deck_pdf(scope: Scope, drawings: Mapping[str, bytes], theme: str = "light") -> bytes:
    """Return the slides of the deck, one a page; `drawings` are SVGs by view, another view's slide is text.

    Raises:
        SvgError: Typst cannot read a drawing.

    """
    title = f"{model_name(scope)}: quantized versions compared"
    return _pages(book_of(scope, theme, drawings) | {"title": title}, drawings)


def picture_pdf(slug: str, svg: bytes, title: str) -> bytes:
    """Return a PDF of one page in the shape of a picture, as wide as a slide.

    Raises:
        SvgError: Typst cannot read the drawing.

    """
    width, height = size_of(svg)
    tall = WIDTH * height / width
    part = {"kind": "picture", "box": (0, 0, WIDTH, tall), "slug": slug, "description": title}
    colours = {"page": SURFACES["light"].background, "text": SURFACES["light"].text}
    book = {"title": title, "width": WIDTH, "height": tall, "colours": colours, "slides": [{"parts": [part]}]}
    return _pages(book, {slug: svg})


def _pages(book: Mapping[str, Any], drawings: Mapping[str, bytes]) -> bytes:
    """Set a book as `slides.book_of` returns it; texts are passed as data, so none of them is markup."""
    import typst  # here, because only this needs it

    inputs = {f"drawing-{slug}": svg.decode() for slug, svg in drawings.items()}
    inputs["book"] = json.dumps(book)
    with TemporaryDirectory() as folder:  # the only one that a page may read
        page = Path(folder, _TEMPLATE)
        page.write_bytes(_template())
        try:
            pdf: bytes = typst.compile(page, root=Path(folder), sys_inputs=inputs)
        except typst.TypstError as error:
            raise SvgError(f"cannot be set on a page: {' '.join(str(error).split())[:200]}") from error
    return pdf


@cache
def _template() -> bytes:
    return (Path(__file__).parent / _TEMPLATE).read_bytes()
