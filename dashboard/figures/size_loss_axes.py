"""Place files on the axes of the first page's chart: size across, mean KLD on a log axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

from dashboard.figures import axes, charts
from dashboard.figures.scales import LogScale
from dashboard.insights.answers import Answers, meeting
from dashboard.insights.comparison import divergence
from dashboard.insights.memory_line import memory_line
from dashboard.insights.noise import least_divergence
from dashboard.results.rows import Row, front_of, one_place
from dashboard.results.scope import Scope

COLUMN = "kld_mean"
#: Most decades that the axis is extended by for the noise floor.
_REACH = 0.5
#: Factor below a file's KLD to which the axis shows its interval.
_FACTOR = 2


class SizeLossAxes:
    """The axes, the places of the files on them, and what is said about each."""

    def __init__(self, scope: Scope, rows: Sequence[Row]) -> None:
        """Compute the axes for rows with a mean KLD and a size."""
        self.scope, self.rows = scope, list(rows)
        self.answers = Answers.of(scope)
        self.line = memory_line(self.answers)
        chosen = self.answers.chosen
        named = chosen["variant_id"] if chosen is not None else None
        self.answer = next((row for row in self.rows if row["variant_id"] == named), None)
        self.curves = charts.series(scope.results, rows)
        front = front_of(self.rows, [row["size_bytes"] for row in rows], [row[COLUMN] for row in rows])
        self.front = [self.rows[index] for index in front]
        self.unit, _ = axes.byte_unit([row["size_bytes"] for row in rows])
        self.floor = least_divergence(scope, one_place(rows))
        ends = [end for row in self.rows for end in self._ends(row)]
        self.scale = LogScale.of(self._heights(), margin=0.06, shown=ends)
        self.named_left = self._are_apart_at_left()
        low, high = axes.padded([self.x(row) for row in rows], 0.06)
        room = 0.1 * (high - low)
        self.x_range = [max(0.0, low - room * self.named_left), high + room * (not self.named_left)]
        self.ranges = (self.x_range, self.scale.range)

    def _heights(self) -> list[float]:
        values = [row[COLUMN] for row in self.rows]
        least = min((value for value in values if value > 0), default=0.0)
        near = self.floor > 0 and least < self.floor * 10**_REACH
        return [*values, self.floor] if near else values

    def _are_apart_at_left(self) -> bool:
        """Return whether the curves' small files are further apart than their large ones."""
        left, right = ([self.height(curve.rows[end]) for curve in self.curves] for end in (0, -1))
        return _least_gap(left) > _least_gap(right)

    @property
    def at(self) -> float | None:
        """The line of memory on the axis; None without a limit."""
        if self.line.at is None:
            return None
        low, high = self.x_range
        return min(max(self.line.at / self.unit, low), high)

    def x(self, row: Row) -> float:
        """Return a file's size in the unit of the axis."""
        return float(row["size_bytes"] / self.unit)

    def height(self, row: Row) -> float:
        """Return a file's place on the log axis, in decades."""
        return self.scale.height(row[COLUMN])

    def interval(self, row: Row) -> tuple[float, float]:
        """Return how far a file's 95 % interval reaches above and below its KLD; 0 if unknown or below the axis."""
        half, value = divergence(row).half, row[COLUMN]
        if not math.isfinite(half) or value <= 0:
            return 0.0, 0.0
        return half, min(half, 0.98 * value)

    def _ends(self, row: Row) -> tuple[float, float]:
        """Return the ends of a file's interval that the axis has room for: one that reaches near 0 leaves it."""
        up, down = self.interval(row)
        return row[COLUMN] + up, max(row[COLUMN] - down, row[COLUMN] / _FACTOR)

    def is_beyond(self, row: Row) -> bool:
        """Return whether a file does not meet the user's limits."""
        if not self.answers.need.limits:
            return False
        within = self.answers.within if row in self.answers.rows else self._within_elsewhere
        return row["variant_id"] not in within

    @cached_property
    def _within_elsewhere(self) -> frozenset[str]:
        """The ids of the files that meet the limits, of those that the answers are not about."""
        rest = [row for row in self.rows if row not in self.answers.rows]
        return meeting(self.scope, self.answers.need, rest)


def _least_gap(heights: Sequence[float]) -> float:
    ordered = sorted(heights)
    return min((high - low for low, high in pairwise(ordered)), default=0.0)
