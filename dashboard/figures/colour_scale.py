"""The colour scale that all heatmaps of a figure share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.figures import axes
from dashboard.insights.layer_measures import Measure
from dashboard.insights.layers import Cell, Parts
from dashboard.style import formats

_WIDE_RANGE = 30
#: What a colour axis changes in a narrow window: the bar lies above the chart, with its title over it.
LYING = {
    "colorbar": {
        "orientation": "h",
        "x": 0.5,
        "y": 1,
        "yref": "container",
        "yanchor": "top",
        "len": 0.9,
        "thickness": 9,
        "title": {"side": "top"},
    }
}


@dataclass(frozen=True)
class Scale:
    """One colour scale for all panels, logarithmic if the values span a wide range."""

    low: float
    high: float
    logarithmic: bool
    measure: Measure

    @classmethod
    def of(cls, values: Sequence[float], measure: Measure) -> Scale:
        """Span all values but the lowest twentieth; a logarithmic scale covers at most four decades.

        A few very low values, such as an embedding kept at 8 bits, would leave few shades for the others.
        """
        positive = sorted(value for value in values if value > 0)
        if not positive:
            return cls(0.0, max([*values, 1.0]), logarithmic=False, measure=measure)
        low, high = positive[len(positive) // 20], positive[-1]
        if high / low > _WIDE_RANGE:
            return cls(max(low, high / 1e4), high, logarithmic=True, measure=measure)
        return cls(0.0, high, logarithmic=False, measure=measure)

    def place(self, value: float) -> float:
        """Return a value's position on the scale."""
        return round(math.log10(max(value, self.low)), 4) if self.logarithmic else float(f"{value:.5g}")

    def at(self, cell: Cell, part: Parts) -> float | None:
        """Return the position of a cell's value; None without one."""
        return self.place(self.measure.scale * part.values[cell]) if cell in part.values else None

    def axis(self) -> dict[str, object]:
        """Return Plotly's colour axis."""
        title = {"text": self.measure.title, "side": "right", "font": {"size": 12}}
        bar: dict[str, object] = {"title": title, "thickness": 12, "len": 0.9, "tickfont": {"size": 11}}
        if self.logarithmic:
            ticks = axes.decades(self.low, self.high)
            bar |= {
                "tickvals": [math.log10(tick) for tick in ticks],
                "ticktext": [formats.number(tick, 1) for tick in ticks],
            }
        return {"cmin": self.place(self.low), "cmax": self.place(self.high), "colorbar": bar}
