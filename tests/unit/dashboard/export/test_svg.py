"""Drawings that come from a browser are shapes and text, and nothing that loads or runs."""

from __future__ import annotations

import base64

import pytest

from dashboard.export.svg import SvgError, cleaned, size_of

#: The smallest PNG: one grey pixel.
PNG = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
        "3a7e9b550000000a49444154789c6368000000820081dd436af40000000049454e44ae426082"
    )
).decode()
OPEN = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'width="320" height="180">'
)


def drawing(inner: str) -> bytes:
    return f"{OPEN}{inner}</svg>".encode()


def accept(_: bytes) -> None:
    """Take every picture."""


@pytest.mark.parametrize(
    "inner",
    [
        '<defs><clipPath id="c"><rect width="9" height="9"/></clipPath></defs><g clip-path="url(#c)"/>',
        """<rect style="fill: url('#a-b'); stroke: red" width="9" height="9"/>""",
        '<text x="1" y="2" style="font-family: &quot;Liberation Sans&quot;">1 &lt; 2 <tspan>µ</tspan></text>',
        f'<image xlink:href="data:image/png;base64,{PNG}" width="9" height="9"/>',
        '<linearGradient id="a"><stop offset="0"/></linearGradient><linearGradient xlink:href="#a"/>',
    ],
)
def test_what_plotly_draws_is_kept(inner: str) -> None:
    kept = cleaned(drawing(inner), accept)
    assert size_of(kept) == (320, 180)
    for word in ("url(", "tspan", "data:image", "#a"):
        assert (word.encode() in kept) == (word in inner)


@pytest.mark.parametrize(
    "inner",
    [
        "<script>alert(1)</script>",
        "<style>@import 'x.css'</style>",
        "<foreignObject/>",
        '<image href="/etc/passwd"/>',
        '<image href="file:///etc/passwd"/>',
        '<image xlink:href="http://127.0.0.1/x.png"/>',
        f'<image href="data:image/svg+xml;base64,{PNG}"/>',
        '<image href="data:image/png;base64,%%%"/>',
        '<linearGradient xlink:href="http://x/#a"/>',
        '<g style="fill: url(http://127.0.0.1/x)"/>',
        "<g style=\"fill: URL( 'x.svg#a')\"/>",
        '<g style="fill: u\\72l(x)"/>',
        '<use href="#a"/>',
        '<g xmlns="http://www.w3.org/1999/xhtml"/>',
        "<g>" * 80 + "</g>" * 80,
    ],
)
def test_what_loads_runs_or_explodes_is_refused(inner: str) -> None:
    with pytest.raises(SvgError):
        cleaned(drawing(inner), accept)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG",
        b"<html/>",
        b"<svg/>",
        OPEN.encode(),
        drawing("").replace(b"320", b"32000"),
        drawing("").replace(b"320", b"nan"),
        drawing("").replace(b' height="180"', b""),
        b'<!DOCTYPE svg [<!ENTITY a "aa">]>' + drawing("<text>&a;</text>"),
        ('<!DOCTYPE svg [<!ENTITY a "aa">]>' + drawing("").decode()).encode("utf-16"),
    ],
)
def test_what_is_no_drawing_is_refused(data: bytes) -> None:
    with pytest.raises(SvgError):
        cleaned(data, accept)


def test_links_and_comments_are_taken_out_and_pictures_checked() -> None:
    kept = cleaned(drawing('<!-- x --><a xlink:href="http://x"><text>words</text></a>'), accept)
    assert b"words" in kept
    assert b"http://x" not in kept
    assert b"<!--" not in kept
    seen: list[bytes] = []
    cleaned(drawing(f'<image href="data:image/png;base64,{PNG}"/>'), seen.append)
    assert seen == [base64.b64decode(PNG)]
