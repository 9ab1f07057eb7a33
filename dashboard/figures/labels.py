"""Place names at the ends of lines without overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

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
        self._marks: list[Box] = [(x - width, y - height, x + width, y + height) for x, y in points]
        self._segments = [pair for line in lines for pair in pairwise(line)]
        self._written: list[Box] = list(taken)

    def at_end(self, right: Point, left: Point, text: str) -> End:
        """Return the best place for a line's name: beside its right end, a few lines off, or beside its left end."""
        width = NAME * CHARACTER * len(text)
        spots = [
            (End(x + way * _APART, y + STEP * off, "left" if way > 0 else "right"), off)
            for way, (x, y) in ((1, right), (-1, left))
            for off in _GIVEN_WAY
        ]

        def box(end: End) -> Box:
            start = end.x if end.anchor == "left" else end.x - width
            return start, end.y - LINE / 2, start + width, end.y + LINE / 2

        def cost(end: End, off: int) -> tuple[int, ...]:
            texts, points, is_struck = self._cost(box(end))
            far = _STRUCK * is_struck + abs(off) + _AT_LEFT * (end.anchor == "right")
            return not _inside(box(end)), texts, points, far

        best, _ = min(spots, key=lambda spot: cost(*spot))
        self._written.append(box(best))
        return best

    @property
    def written(self) -> list[Box]:
        """The boxes of all texts so far."""
        return list(self._written)

    def _cost(self, box: Box) -> tuple[int, int, int]:
        """Count the texts and points that a box covers, and whether lines cross it."""
        texts = sum(overlap(box, other) for other in self._written)
        points = sum(overlap(box, mark) for mark in self._marks)
        return texts, points, any(_crosses(box, *segment) for segment in self._segments)


def _inside(box: Box) -> bool:
    return box[0] >= -0.01 and box[2] <= 1.01 and box[1] >= -0.01 and box[3] <= 1.03


def _crosses(box: Box, start: Point, end: Point) -> bool:
    """Return whether a segment crosses the box (Liang and Barsky's clipping)."""
    enters, leaves = 0.0, 1.0
    for axis in (0, 1):
        step = end[axis] - start[axis]
        low, high = box[axis] - start[axis], box[axis + 2] - start[axis]
        if step == 0:
            if low > 0 or high < 0:
                return False
            continue
        first, last = sorted((low / step, high / step))
        enters, leaves = max(enters, first), min(leaves, last)
    return enters <= leaves


def overlap(a: Box, b: Box) -> bool:
    """Return whether two boxes share more than an edge."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def shares(points: Sequence[Point], ranges: Ranges) -> list[Point]:
    """Return points as shares (0–1) of the plot."""
    (left, right), (bottom, top) = ranges
    return [((x - left) / (right - left), (y - bottom) / (top - bottom)) for x, y in points]
