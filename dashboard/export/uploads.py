"""Pictures that the browser rendered and sends back: only what is asked for gets in."""

from __future__ import annotations

import io
import struct
from urllib.parse import urlsplit

from flask import Request

from dashboard.views import registry

#: Bytes of one picture, and of a whole request.
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
    """Let only pages of this very server in: browsers name the page's origin with every POST.

    Raises:
        UploadError: the origin is another one, or not named.

    """
    origin = urlsplit(request.headers.get("Origin", ""))
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    if origin.scheme not in {"http", "https"} or origin.netloc != request.host or site != "same-origin":
        raise UploadError("only the dashboard's own page may ask for this", 403)


def pictures(request: Request) -> dict[str, bytes]:
    """Read the PNGs of a form, one field per view, named by its id.

    Raises:
        UploadError: a field names no view, is given twice, is too large, or is no PNG.

    """
    known = {view.id for view in registry()}
    found: dict[str, bytes] = {}
    for slug, file in request.files.items(multi=True):
        if slug not in known or slug in found:
            raise UploadError(f"no view takes a picture named {slug[:40]!r} here")
        data = file.stream.read(MOST_PER_PICTURE + 1)
        check_png(slug, data)
        found[slug] = data
    if not found:
        raise UploadError("the request holds no picture")
    return found


def check_png(slug: str, data: bytes) -> None:
    """Check signature, header, size in bytes and pixels, the end, and the checksums between.

    Raises:
        UploadError: it is no PNG that a slide can take.

    """
    if len(data) > MOST_PER_PICTURE:
        raise UploadError(f"the picture of {slug} is larger than {MOST_PER_PICTURE // 1_000_000} MB", 413)
    if len(data) < _HEADER.size or not data.endswith(_END):
        raise UploadError(f"the picture of {slug} is no whole PNG")
    signature, length, kind, width, height = _HEADER.unpack_from(data)
    if signature != _SIGNATURE or kind != b"IHDR" or length != _IHDR_BYTES:
        raise UploadError(f"the picture of {slug} is no PNG")
    if not (0 < width <= _LONGEST_SIDE and 0 < height <= _LONGEST_SIDE):
        raise UploadError(
            f"the picture of {slug} is {width} × {height} pixels; at most {_LONGEST_SIDE} a side"
        )
    if not _is_sound(data):
        raise UploadError(f"the picture of {slug} is damaged")


def _is_sound(data: bytes) -> bool:
    """Whether all parts have their checksums, by the library that decks read pictures with."""
    from PIL import Image  # would delay every start

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as opened:
            opened.verify()
    except (OSError, SyntaxError, ValueError, struct.error):
        return False
    return True
