"""Place names at the ends of lines without overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dashboard.figures.boxes import Floats, cross, may_overlap

#: Width of a character and height of a line, in shares of a plot of about 700 × 330 pixels, as on a slide. The page
#: hides what overlaps in a smaller plot (assets/labels.js).
CHARACTER, LINE = 0.0095, 0.045
#: Half the width and height of a marker.
_MARKER = (0.009, 0.016)
#: Distance of a name from the end of its line, and the lines of text by which it may give way.
_APART, _GIVEN_WAY = 0.015, (0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5)
#: Distance of names below each other.
STEP = 1.05 * LINE
#: Width of a character of a name, which is bold and larger, over that of a label.
NAME = 1.3
#: What a place costs, in lines of text: to be crossed by a line, or to be at the left end.
_STRUCK, _AT_LEFT = 3, 4
Box = tuple[float, float, float, float]
Point = tuple[float, float]
Ranges = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class End:
    """Where a line's name stands, in shares of the plot, and which of its sides that is: `left` or `right`."""

    x: float
    y: float
    anchor: str


class Placing:
    """Free places on a plot; positions are shares (0–1) of it.

    Args:
        points: all drawn points, which texts avoid.
        lines: drawn lines, avoided if possible.
        taken: boxes of other texts.
    """

    def __init__(
        self, points: Sequence[Point], lines: Sequence[Sequence[Point]] = (), taken: Sequence[Box] = ()
    ) -> None:
        width, height = _MARKER
        self._marks = _columns([(x - width, y - height, x + width, y + height) for x, y in points])
        self._segments = _columns([(*one, *two) for line in lines for one, two in pairwise(line)])
        self._written: list[Box] = list(taken)

    def at_end(self, right: Point, left: Point, text: str) -> End:
        """Return the best place for a line's name: beside its right end, a few lines off, or beside its left end."""
        width = NAME * CHARACTER * len(text)
        ends = [
            End(x + way * _APART, y + STEP * off, "left" if way > 0 else "right")
            for way, (x, y) in ((1, right), (-1, left))
            for off in _GIVEN_WAY
        ]
        boxes = [_box(end, width) for end in ends]
        costs = self._costs(boxes, [abs(off) + side for side in (0, _AT_LEFT) for off in _GIVEN_WAY])
        best = costs.index(min(costs))
        self._written.append(boxes[best])
        return ends[best]

    @property
    def written(self) -> list[Box]:
        """The boxes of all texts so far."""
        return list(self._written)

    def _costs(self, boxes: Sequence[Box], far: Sequence[int]) -> list[tuple[bool, int, int, int]]:
        """Return what places cost: whether they stick out, texts and points they cover, and how far they are."""
        spots, written = _columns(boxes), _columns(self._written)
        outside = [not _inside(box) for box in boxes]
        texts, points = (may_overlap(spots, others).sum(axis=1).tolist() for others in (written, self._marks))
        struck = np.any(cross(spots, self._segments), axis=(0, 2)).tolist()
        lines = [_STRUCK * is_struck + away for is_struck, away in zip(struck, far, strict=True)]
        return list(zip(outside, texts, points, lines, strict=True))


def _columns(boxes: Sequence[Box]) -> Floats:
    """Return boxes or segments as an array for a plot of one size."""
    return np.array(boxes, dtype=np.float64).reshape(-1, 1, 4).T


def _box(end: End, width: float) -> Box:
    start = end.x if end.anchor == "left" else end.x - width
    return start, end.y - LINE / 2, start + width, end.y + LINE / 2


def _inside(box: Box) -> bool:
    return box[0] >= -0.01 and box[2] <= 1.01 and box[1] >= -0.01 and box[3] <= 1.03


def overlap(a: Box, b: Box) -> bool:
    """Return whether two boxes share more than an edge."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def shares(points: Sequence[Point], ranges: Ranges) -> list[Point]:
    """Return points as shares (0–1) of the plot."""
    (left, right), (bottom, top) = ranges
    return [((x - left) / (right - left), (y - bottom) / (top - bottom)) for x, y in points]
