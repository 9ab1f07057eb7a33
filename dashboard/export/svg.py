"""SVGs of charts, reduced to what plotly.js draws: shapes and text, without anything that loads or runs."""

from __future__ import annotations

import base64
import binascii
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

_SVG = "{http://www.w3.org/2000/svg}"
_ELEMENTS = {
    *("svg", "g", "defs", "clipPath", "linearGradient", "radialGradient", "stop", "pattern", "title"),
    *("path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan", "image"),
}
_PNG = "data:image/png;base64,"
#: What a colour or clip may refer to: a part of the same drawing.
_REFERENCE = re.compile(r"url\((?!\s*['\"]?#)", re.IGNORECASE)
_MOST_ELEMENTS, _DEEPEST, _LONGEST_SIDE = 200_000, 64, 8192


class SvgError(Exception):
    """A drawing that is refused; the message is the reason, as the end of a sentence."""


def cleaned(data: bytes, check_png: Callable[[bytes], None]) -> bytes:
    """Return an SVG without comments and links, if it is one that plotly.js may have drawn.

    A document type is refused, and so are elements other than shapes, text, gradients and embedded PNGs (which
    `check_png` checks), styles that refer to anything outside the drawing, and drawings that are too large or deep.

    Raises:
        SvgError: the data are no such SVG.

    """
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise SvgError("has a document type")
    try:
        root = ET.fromstring(data.decode("utf-8"))  # noqa: S314  # no entities, see above
    except (ET.ParseError, ValueError) as error:
        raise SvgError("is not an SVG") from error
    if root.tag != f"{_SVG}svg":
        raise SvgError("is not an SVG")
    _flatten(root)
    for element in _walk(root):
        _check(element, check_png)
    cleaned_data: bytes = ET.tostring(root, encoding="utf-8")
    size_of(cleaned_data)
    return cleaned_data


def size_of(svg: bytes) -> tuple[float, float]:
    """Return an SVG's width and height in pixels.

    Raises:
        SvgError: it has none, or they are not between 1 and 8192.

    """
    root = ET.fromstring(svg)  # noqa: S314  # checked when it came in
    try:
        width, height = float(root.get("width", "")), float(root.get("height", ""))
    except ValueError:
        raise SvgError("has no size") from None
    if not (1 <= width <= _LONGEST_SIDE and 1 <= height <= _LONGEST_SIDE):
        raise SvgError(f"is not between 1 and {_LONGEST_SIDE} pixels a side")
    return width, height


def _walk(root: ET.Element) -> list[ET.Element]:
    """Return all elements, without recursion."""
    found, level, depth = [root], [root], 0
    while level:
        level = [child for element in level for child in element]
        found += level
        depth += 1
        if len(found) > _MOST_ELEMENTS or depth > _DEEPEST:
            raise SvgError("is too large")
    return found


def _flatten(root: ET.Element) -> None:
    """Replace links by groups: a PDF of a chart needs none."""
    for element in root.iter(f"{_SVG}a"):
        element.tag = f"{_SVG}g"
        element.attrib = {name: value for name, value in element.attrib.items() if "href" not in name}


def _check(element: ET.Element, check_png: Callable[[bytes], None]) -> None:
    name = element.tag.removeprefix(_SVG)
    if name not in _ELEMENTS or not element.tag.startswith(_SVG):
        raise SvgError(f"has an element {name[:20]!r}")
    for attribute, value in element.attrib.items():
        if attribute.rpartition("}")[2] == "href":
            if name == "image" and value.startswith(_PNG):
                check_png(_decoded(value.removeprefix(_PNG)))
            elif not (name.endswith("Gradient") and value.startswith("#")):
                raise SvgError("refers to something outside it")
        elif _REFERENCE.search(value) or "@import" in value or "\\" in value:
            raise SvgError("refers to something outside it")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SvgError("has a damaged picture") from None
