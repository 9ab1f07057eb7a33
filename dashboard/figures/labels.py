"""Place labels at selected points without overlaps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

from dashboard.results.rows import Row, type_name
from dashboard.style import names

#: Width of a character and height of a line, in shares of a plot of about 450 × 300 pixels.
_CHARACTER, _LINE = 0.0145, 0.05
#: Width of a note at the left edge.
_NOTE = 0.34
Box = tuple[float, float, float, float]
Point = tuple[float, float]


#: Sides of a point in order of preference, corners first because error bars run straight up and down.
_SIDES = (
    "top right",
    "top left",
    "bottom right",
    "bottom left",
    "middle right",
    "middle left",
    "top center",
    "bottom center",
)


def place_labels(
    points: Sequence[Point],
    texts: Sequence[str],
    first: str = "top right",
    lines: Sequence[Sequence[Point]] = (),
    needed: Collection[int] = (),
) -> list[tuple[str, str]]:
    """Return, for each point (in 0–1 of the plot), a text and a Plotly `textposition` without collisions.

    Places greedily, points in `needed` first, then in the given order, on the first of eight sides (beginning with
    `first`) whose box is free and not crossed by `lines`; without such a side the text is left out. A text in
    `needed` may cross a line, or else cover a point.
    """
    sides = sorted(_SIDES, key=lambda side: side != first)
    segments = [pair for line in lines for pair in pairwise(line)]
    marks: list[Box] = [(x - 0.012, y - 0.018, x + 0.012, y + 0.018) for x, y in points]
    written: list[Box] = []
    placed = [("", "top center")] * len(points)
    for own in sorted(range(len(points)), key=lambda index: index not in needed):
        (x, y), text = points[own], texts[own]
        spots = _spots(x, y, _CHARACTER * len(text)) if text else {}
        boxes = {side: _box(spots[side], text) for side in sides} if text else {}
        apart = [
            side
            for side, box in boxes.items()
            if _inside(box) and not any(overlap(box, other) for other in written)
        ]
        covered = {
            side: sum(overlap(boxes[side], mark) for index, mark in enumerate(marks) if index != own)
            for side in apart
        }
        free = [side for side in apart if not covered[side]]
        clear = [side for side in free if not _struck(boxes[side], segments)]
        if own in needed:
            clear = clear or free or sorted(apart, key=lambda side: covered[side])
        if clear:
            written.append(boxes[clear[0]])
            placed[own] = (text, clear[0])
    return placed


def _spots(x: float, y: float, width: float) -> dict[str, tuple[float, float]]:
    """Return the left and bottom edge of the label on every side of a point."""
    return {
        "top right": (x + 0.008, y + 0.016),
        "top left": (x - 0.008 - width, y + 0.016),
        "bottom right": (x + 0.008, y - 0.016 - _LINE),
        "bottom left": (x - 0.008 - width, y - 0.016 - _LINE),
        "middle right": (x + 0.016, y - _LINE / 2),
        "middle left": (x - 0.016 - width, y - _LINE / 2),
        "top center": (x - width / 2, y + 0.02),
        "bottom center": (x - width / 2, y - 0.02 - _LINE),
    }


def _box(corner: tuple[float, float], text: str) -> Box:
    left, bottom = corner
    return left, bottom, left + _CHARACTER * len(text), bottom + _LINE


def _inside(box: Box) -> bool:
    return box[0] >= -0.01 and box[2] <= 1.01 and box[1] >= -0.01 and box[3] <= 1.03


def _struck(box: Box, segments: Sequence[tuple[Point, Point]]) -> bool:
    """Return whether a segment crosses the box (Liang and Barsky's clipping)."""
    return any(_crosses(box, *segment) for segment in segments)


def _crosses(box: Box, start: Point, end: Point) -> bool:
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


class Labels:
    """Quant names at the points of `wanted` variants, placed once for all traces of a figure.

    Args:
        rows: all drawn points, which labels avoid.
        points: their x and y, in the units of the ranges.
        ranges: of the x and of the y axis.
        wanted: ids of the variants to label; only the first of each quant type, as the others are near it.
        picked: ids that are always labelled.
        first: the side to try first, away from the curves.
        lines: drawn lines in the units of the ranges, avoided if possible.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        points: Sequence[tuple[float, float]],
        ranges: tuple[Sequence[float], Sequence[float]],
        wanted: Collection[str],
        picked: Collection[str] = (),
        first: str = "top right",
        lines: Sequence[Sequence[Point]] = (),
    ) -> None:
        places = shares(points, ranges)
        named = {type_name(row) for row in rows if row["variant_id"] in picked}
        texts = []
        for row in rows:
            name = type_name(row)
            new = row["variant_id"] in wanted and name not in named
            texts.append(names.short(name, names.POINT) if new or row["variant_id"] in picked else "")
            named |= {name} if new else set()
        needed = {index for index, row in enumerate(rows) if row["variant_id"] in picked}
        placed = place_labels(places, texts, first, [shares(line, ranges) for line in lines], needed)
        self._placed = {row["variant_id"]: label for row, label in zip(rows, placed, strict=True)}

    def at(self, group: Sequence[Row]) -> dict[str, Any]:
        """Return the scatter settings that write the labels of a trace's points."""
        return {
            "text": [names.in_figure(self._placed[row["variant_id"]][0]) for row in group],
            "textposition": [self._placed[row["variant_id"]][1] for row in group],
            "textfont": {"size": 11},
        }


def note_line(height: float, ranges: tuple[Sequence[float], Sequence[float]]) -> list[Point]:
    """Return the line through a note under a level at the left edge, for labels to avoid."""
    (left, right), (bottom, top) = ranges
    middle = height - _LINE / 2 * (top - bottom)
    return [(left, middle), (left + _NOTE * (right - left), middle)]


def shares(points: Sequence[Point], ranges: tuple[Sequence[float], Sequence[float]]) -> list[Point]:
    """Return points as shares (0–1) of the plot."""
    (left, right), (bottom, top) = ranges
    return [((x - left) / (right - left), (y - bottom) / (top - bottom)) for x, y in points]
