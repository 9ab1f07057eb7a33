"""A log axis on which values that have no logarithm stand too: at its lower edge, named and marked as such."""

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

#: How far under the lowest value the edge lies, and how much is left below it, as shares of the axis.
_UNDER, _MARGIN = 0.1, 0.05


@dataclass(frozen=True)
class LogScale:
    """A log axis around `values`; `edge`, in decades, is where those without a logarithm stand, None without any.

    A copy of the baseline has a divergence of 0, and rounding can make one negative.
    """

    axis: dict[str, Any]
    edge: float | None
    text: str = ""

    @classmethod
    def of(cls, values: Sequence[float], margin: float = 0.08) -> LogScale:
        """Lay the axis around the positive values, with room under them where there are others."""
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
        """The axis' range, in decades."""
        return list(self.axis["range"])

    def height(self, value: float) -> float:
        """Return where a value stands, in decades."""
        return math.log10(value) if value > 0 or self.edge is None else self.edge

    def place(self, value: float) -> float:
        """Return where a value stands, in the axis' unit."""
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
        """Draw the points of `curves` without a logarithm, open, at the edge; the legend says what they are.

        It also names curves that have no other point.

        Args:
            drawn: the figure that the others are in.
            curves: all curves, with all their points.
            column: what is drawn up.
            x: place across, by variant.
            hover: text for pointing at it, by variant.
            labels: names at points.
            selection: what is picked.
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
