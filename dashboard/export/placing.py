"""Where title, chart, caption and source lie on a slide, and how much room text takes; in inches."""

from __future__ import annotations

import math
from collections.abc import Sequence

#: Left, top, width and height.
Box = tuple[float, float, float, float]
WIDTH, HEIGHT = 13.333, 7.5
SIDE = 0.5
ACROSS = WIDTH - 2 * SIDE
TITLE: Box = (SIDE, 0.25, ACROSS, 0.95)
BODY: Box = (SIDE, 1.25, ACROSS, 5.6)
FOOT: Box = (SIDE, 6.95, ACROSS, 0.4)
#: Type size of captions in points.
CAPTION = 11
#: Type sizes of titles, the largest that fits.
_TITLES = (26, 22, 18, 16)
#: Width of a character and of a bold one over the type size, and of a line's height.
_CHARACTER, _BOLD, _LEADING = 0.52, 0.57, 1.2
#: Space above and below the text of a box or cell together, and beside that of a cell.
_PADDING, _BESIDE = 0.1, 0.2
#: Height of a table's row where there is room.
_ROW = 0.36
_POINTS = 72


def text_height(text: str, size: int, across: float = ACROSS, *, bold: bool = False) -> float:
    """Estimate the height of a paragraph of `size` points in a box of a width, without the box's padding."""
    a_line = across * _POINTS / ((_BOLD if bold else _CHARACTER) * size)
    return math.ceil(max(len(text), 1) / a_line) * _LEADING * size / _POINTS


def title_size(text: str) -> int:
    """Return the largest type size in which a title fits its box."""
    room = TITLE[3] - _PADDING
    return next((size for size in _TITLES if text_height(text, size, bold=True) <= room), _TITLES[-1])


def over_caption(texts: Sequence[str]) -> tuple[Box, Box]:
    """Divide the body into a box for a chart or a table and one for the caption of some paragraphs below it."""
    left, top, across, height = BODY
    below = sum(text_height(text, CAPTION) for text in texts) + (_PADDING if texts else 0.0)
    return (left, top, across, height - below), (left, top + height - below, across, below)


def row_heights(
    lines: Sequence[Sequence[str]], shares: Sequence[float], size: int, room: float
) -> list[float]:
    """Estimate the heights of a table's rows; those of one line are taller if all fit in `room` then."""
    heights = [
        max(
            text_height(text, size, share * ACROSS - _BESIDE)
            for text, share in zip(line, shares, strict=True)
        )
        + _PADDING
        for line in lines
    ]
    airy = [max(height, _ROW) for height in heights]
    return airy if sum(airy) <= room else heights
