"""Pictures that the browser rendered and sends back, checked before use."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Request

from dashboard.export.svg import SvgError, cleaned
from dashboard.views import charts

#: Largest picture and largest request, in bytes.
MOST_PER_PICTURE, MOST_IN_ALL = 12_000_000, 64_000_000
_LONGEST_SIDE = 8192
_SIGNATURE, _END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_HEADER = struct.Struct(">8sI4sII")
_IHDR_BYTES = 13


class UploadError(Exception):
    """A request that is refused; the message is one line, `status` the HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def require_same_origin(request: Request) -> None:
    """Check that a POST comes from this server's own page; browsers send the page's origin with it.

    Raises:
        UploadError: the origin is another or missing.

    """
    origin = urlsplit(request.headers.get("Origin", ""))
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    if origin.scheme not in {"http", "https"} or origin.netloc != request.host or site != "same-origin":
        raise UploadError("only the dashboard's own page may send this request", 403)


def pictures(request: Request) -> dict[str, bytes]:
    """Read the PNGs of a form, one field per view, named by its id.

    Raises:
        UploadError: a field names no view, appears twice, is too large, or is not a PNG.

    """

    def checked(slug: str, data: bytes) -> bytes:
        check_png(slug, data)
        return data

    return _uploaded(request, checked)


def drawings(request: Request) -> dict[str, bytes]:
    """Read the SVGs of a form as `pictures` reads PNGs; see `svg.cleaned` for what is taken out and refused.

    Raises:
        UploadError: a field names no view, appears twice, is too large, or is not an SVG of a chart.

    """

    def checked(slug: str, data: bytes) -> bytes:
        _check_size(slug, data)
        try:
            return cleaned(data, lambda png: check_png(slug, png))
        except SvgError as error:
            raise UploadError(f"the drawing of {slug} {error}") from None

    return _uploaded(request, checked)


def _uploaded(request: Request, checked: Callable[[str, bytes], bytes]) -> dict[str, bytes]:
    slugs = {view.id for view in charts()}
    found: dict[str, bytes] = {}
    for slug, file in request.files.items(multi=True):
        if slug not in slugs or slug in found:
            raise UploadError(f"picture {slug[:40]!r}: no such view, or sent twice")
        found[slug] = checked(slug, file.stream.read(MOST_PER_PICTURE + 1))
    if not found:
        raise UploadError("the request has no picture")
    return found


def _check_size(slug: str, data: bytes) -> None:
    if len(data) > MOST_PER_PICTURE:
        raise UploadError(f"the picture of {slug} is larger than {MOST_PER_PICTURE // 1_000_000} MB", 413)


def check_png(slug: str, data: bytes) -> None:
    """Check a PNG's signature, header, size in bytes and pixels, end, and checksums.

    Raises:
        UploadError: the data are not a PNG that fits a slide.

    """
    _check_size(slug, data)
    if len(data) < _HEADER.size or not data.endswith(_END):
        raise UploadError(f"the picture of {slug} is not a complete PNG")
    signature, length, kind, width, height = _HEADER.unpack_from(data)
    if signature != _SIGNATURE or kind != b"IHDR" or length != _IHDR_BYTES:
        raise UploadError(f"the picture of {slug} is not a PNG")
    if not (0 < width <= _LONGEST_SIDE and 0 < height <= _LONGEST_SIDE):
        raise UploadError(
            f"the picture of {slug} is {width} × {height} pixels; at most {_LONGEST_SIDE} a side"
        )
    if not _is_sound(data):
        raise UploadError(f"the picture of {slug} is damaged")


def _is_sound(data: bytes) -> bool:
    """Return whether all checksums are right, by the library that reads pictures for decks."""
    from PIL import Image  # here, because it would delay every start

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as opened:
            opened.verify()
    except (OSError, SyntaxError, ValueError, struct.error):
        return False
    return True
