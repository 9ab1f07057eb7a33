"""Choose which files of a crowded plot stand out; the others are faint points without labels and bars."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dashboard.figures.labels import Box, Point
from dashboard.results.rows import Row

#: Most files whose labels and bars have room beside each other.
FEW = 12
#: Opacity of the points of other files, and of lines that lead through them.
FAINT, THROUGH = 0.3, 0.3
#: Width and half the height of a label's place beside its point, in shares of the plot.
_WIDE, _HIGH = 0.12, 0.09


def is_crowded(rows: Sequence[Row]) -> bool:
    """Return whether a plot of these files has no room for all labels and bars."""
    return len(rows) > FEW


def outstanding(rows: Sequence[Row], *groups: Collection[str]) -> frozenset[str] | None:
    """Return the ids of the files in any of the groups; None, which means all, if the plot is not crowded."""
    return frozenset().union(*groups) if is_crowded(rows) else None


def rooms(points: Sequence[Point]) -> list[Box]:
    """Return the places right of points, in shares, that names of methods leave to the points' labels."""
    return [(x, y - _HIGH, x + _WIDE, y + _HIGH) for x, y in points]
