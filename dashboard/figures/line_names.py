"""Name methods at the ends of their lines, which takes the place of a legend, and ring the file in the title."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dashboard.figures.charts import Series
from dashboard.figures.drawing import Drawing
from dashboard.figures.labels import CHARACTER, NAME
from dashboard.results.rows import Row
from dashboard.style.theme import BASELINE

#: Longest name at the end of a line, in characters, and the glyph with its space before it.
NAME_LENGTH, GLYPH = 20, 3
#: Size of the ring, and top margin without a legend, in pixels.
_RING, _NO_LEGEND = 22, 24


def with_room(
    across: Sequence[float], rows: Sequence[Row], endings: Mapping[str, str] | None = None
) -> list[float]:
    """Return a horizontal range with room at the right for the names of the rows' methods."""
    extra = max(map(len, (endings or {}).values()), default=0)
    longest = max((min(len(str(row["method"])), NAME_LENGTH) for row in rows), default=0) + GLYPH + extra
    share = min(0.3, NAME * CHARACTER * longest)
    low, high = across
    return [low, low + (high - low) / (1 - share)]


def add_ring(drawn: Drawing, x: float, y: float) -> None:
    """Ring the point that the title names."""
    marker = {"symbol": "circle-open", "size": _RING, "color": BASELINE.color, "line": {"width": 2}}
    look = {"marker": marker, "showlegend": False, "hoverinfo": "skip", "cliponaxis": False}
    drawn.add_scatter(x=[x], y=[y], mode="markers", **look)


def fit_legend(drawn: Drawing) -> None:
    """Show what names at lines leave to a legend, or need no room for one."""
    listed = any(trace.get("name") and trace.get("showlegend") is not False for trace in drawn.data)
    margin = {} if listed else {"margin": {"t": _NO_LEGEND}}
    drawn.update_layout(showlegend=True, legend={"traceorder": "normal"}, **margin)


def method_name(curve: Series) -> dict[str, Any]:
    """Return the settings of a name that a click filters by; `name` has it in full."""
    return {
        "name": curve.method,
        "showarrow": False,
        "captureevents": True,
        "font": {"size": 12},
        "xshift": 0,
        "yanchor": "middle",
    }
