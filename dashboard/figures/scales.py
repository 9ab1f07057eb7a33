"""Scales of vertical axes: linear, and logarithmic with the values that it cannot hold at its lower edge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from dashboard.figures import axes
from dashboard.style import formats

#: Distance of the edge below the lowest value, and the margin below the edge, as shares of the axis.
_UNDER, _MARGIN = 0.1, 0.05
#: Share of the smallest error below which a value is as good as 0.
_NEGLIGIBLE = 0.1


def resolution(floor: float, halves: Sequence[float]) -> float:
    """Return the loss up to which files stand at the edge: the noise floor, else a tenth of the smallest error.

    `halves` are half-widths of 95 % intervals; unknown errors are infinite.
    """
    if floor > 0:
        return floor
    return _NEGLIGIBLE * min((half for half in halves if math.isfinite(half)), default=0.0)


@dataclass(frozen=True)
class LinearScale:
    """A linear axis."""

    range: list[float]
    edge: None = None

    @property
    def axis(self) -> dict[str, Any]:
        """Settings of the axis."""
        return {"range": self.range}

    def holds(self, value: float) -> bool:
        """Return whether a value has a place of its own."""
        return math.isfinite(value)

    def height(self, value: float) -> float:
        """Return a value's place in the unit of the range."""
        return value

    def place(self, value: float) -> float:
        """Return a value's place in the unit of the axis."""
        return value


@dataclass(frozen=True)
class LogScale:
    """A log axis; values up to `least` stand at `edge`, in decades; None without such values.

    A copy of the baseline has a divergence of 0, and rounding can make one negative.
    """

    axis: dict[str, Any]
    edge: float | None
    text: str = ""
    least: float = 0.0

    @classmethod
    def of(
        cls,
        values: Sequence[float],
        margin: float = 0.08,
        *,
        least: float = 0.0,
        shown: Sequence[float] = (),
        is_reversed: bool = False,
    ) -> LogScale:
        """Fit the axis to the values above `least` and to `shown`, with room below them if there are others.

        `shown` are ends of error bars and levels, which need no place at the edge. A reversed axis has its lower
        edge at the top.
        """
        own = [value for value in values if value > least]
        has_edge = len(own) < len(values)
        fitted = [*own, *(value for value in shown if value > 0 and value >= least)]
        fitted += [least] if has_edge and least > 0 else []
        scale = cls(axes.log_axis(fitted, margin), None, least=least)
        if has_edge:
            scale = scale._with_edge(_edge_text(values, least), has_others=bool(fitted))
        if is_reversed:
            return replace(scale, axis=scale.axis | {"range": scale.range[::-1]})
        return scale

    def _with_edge(self, text: str, *, has_others: bool) -> LogScale:
        low, high = self.axis["range"]
        edge = low - _UNDER * (high - low)
        pairs = zip(self.axis["tickvals"], self.axis["ticktext"], strict=True)
        ticks = [(at, name) for at, name in pairs if at > self.least]
        named = [(10**edge, text), *(ticks if has_others else [])]
        bounds = {"range": [edge - _MARGIN * (high - low), high]}
        marks = {"tickvals": [at for at, _ in named], "ticktext": [name for _, name in named]}
        return replace(self, axis=self.axis | bounds | marks, edge=edge, text=text)

    @property
    def range(self) -> list[float]:
        """The axis range in decades, from the bottom to the top of the plot."""
        return list(self.axis["range"])

    def holds(self, value: float) -> bool:
        """Return whether a value has a place of its own; the others stand at the edge."""
        return value > 0 and (self.edge is None or value > self.least)

    def height(self, value: float) -> float:
        """Return a value's place in decades."""
        return math.log10(value) if self.edge is None or self.holds(value) else self.edge

    def place(self, value: float) -> float:
        """Return a value's place in the unit of the axis."""
        return value if self.edge is None or self.holds(value) else 10**self.edge


Scale = LinearScale | LogScale


def _edge_text(values: Sequence[float], least: float) -> str:
    if least > 0:
        return f"≤ {formats.number(least, 2)}"
    return "0" if all(value >= 0 for value in values) else "≤ 0"
