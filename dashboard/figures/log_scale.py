"""Draw a log axis with the values that have no logarithm marked at its lower edge."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dashboard.figures import axes, charts
from dashboard.figures.drawing import Drawing
from dashboard.figures.labels import Labels
from dashboard.results.rows import Row
from dashboard.results.selection import Selection

#: Distance of the edge below the lowest value, and the margin below the edge, as shares of the axis.
_UNDER, _MARGIN = 0.1, 0.05


@dataclass(frozen=True)
class LogScale:
    """A log axis around values; `edge`, in decades, is the place of those without a logarithm, None without any.

    A copy of the baseline has a divergence of 0, and rounding can make one negative.
    """

    axis: dict[str, Any]
    edge: float | None
    text: str = ""

    @classmethod
    def of(cls, values: Sequence[float], margin: float = 0.08) -> LogScale:
        """Fit the axis to the positive values, with room below them if there are others."""
        positive = [value for value in values if value > 0]
        axis = axes.log_axis(positive, margin)
        if len(positive) == len(values):
            return cls(axis, None)
        low, high = axis["range"]
        edge = low - _UNDER * (high - low)
        text = "0" if all(value == 0 or value > 0 for value in values) else "≤ 0"
        ticks = list(zip(axis["tickvals"], axis["ticktext"], strict=True)) if positive else []
        named = [(10**edge, text), *ticks]
        bounds = {"range": [edge - _MARGIN * (high - low), high]}
        marks = {"tickvals": [at for at, _ in named], "ticktext": [name for _, name in named]}
        return cls(axis | bounds | marks, edge, text)

    @property
    def range(self) -> list[float]:
        """The axis range in decades."""
        return list(self.axis["range"])

    def height(self, value: float) -> float:
        """Return a value's place in decades."""
        return math.log10(value) if value > 0 or self.edge is None else self.edge

    def place(self, value: float) -> float:
        """Return a value's place in the unit of the axis."""
        return value if value > 0 or self.edge is None else 10**self.edge

    def above(self, curve: charts.Series, column: str) -> charts.Series:
        """Return a curve's points that have a logarithm."""
        return replace(curve, rows=[row for row in curve.rows if row[column] > 0])

    def draw_rest(
        self,
        drawn: Drawing,
        curves: Sequence[charts.Series],
        column: str,
        x: Mapping[str, float],
        hover: Mapping[str, str],
        labels: Labels,
        selection: Selection,
    ) -> None:
        """Draw the points of `curves` without a logarithm as open markers at the edge, with a legend entry.

        Curves without other points get a legend entry too.

        Args:
            drawn: the figure with the other points.
            curves: all curves, with all their points.
            column: the column of the vertical axis.
            x: horizontal place, by variant.
            hover: hover text, by variant.
            labels: labels of the points.
            selection: the selection with the picked variants.
        """
        shown = [row for curve in curves for row in curve.rows]
        rest = [(curve.style, row) for curve in curves for row in curve.rows if not row[column] > 0]
        if not rest or self.edge is None:
            return
        for curve in curves:
            if not self.above(curve, column).rows:
                drawn.add_scatter(x=[None], y=[None], mode="markers", marker=curve.marker(), **curve.legend)
        rows: list[Row] = [row for _, row in rest]
        drawn.add_scatter(
            x=[x[row["variant_id"]] for row in rows],
            y=[10**self.edge] * len(rows),
            mode="markers+text",
            name=f"{self.text}: below the log axis",
            marker={
                "color": [style.color for style, _ in rest],
                "symbol": [f"{style.symbol}-open" for style, _ in rest],
                "size": 11,
                "line": {"width": 2},
            },
            hovertext=[hover[row["variant_id"]] for row in rows],
            hoverinfo="text",
            cliponaxis=False,
            **labels.at(rows),
            **charts.emphasis(selection, shown, rows),
        )
