"""Draw the loss that packing for speed adds to each file's own."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.figures import charts
from dashboard.figures.drawing import Drawing
from dashboard.figures.log_scale import LogScale
from dashboard.insights.engine_gap import GAP
from dashboard.results.rows import Row
from dashboard.results.selection import Selection
from dashboard.style.theme import BASELINE


def packed_loss(row: Row) -> float:
    """Return a file's loss plus that of packing, which approximates the packed model's own loss."""
    return float(row["kld_mean"] + (row[GAP] or 0.0))


def add_packing(
    drawn: Drawing,
    curves: Sequence[charts.Series],
    selection: Selection,
    rows: Sequence[Row],
    column: str,
    scale: LogScale,
) -> None:
    """Draw a line from each file (or only picked ones) up to a hollow marker at its loss after packing."""
    picking = charts.is_picking(selection, rows)
    before = len(drawn.data)
    for curve in curves:
        known = [row for row in curve.rows if row[GAP] is not None]
        shown = [row for row in known if not picking or row["variant_id"] in selection.picked]
        if not shown:
            continue
        drawn.add_scatter(
            x=[value for row in shown for value in (row[column], row[column], None)],
            y=[
                value
                for row in shown
                for value in (scale.place(packed_loss(row)), scale.place(row["kld_mean"]), None)
            ],
            mode="lines+markers",
            line={"color": curve.style.color, "width": 1.5},
            marker={
                "symbol": f"{curve.style.symbol}-open",
                "color": curve.style.color,
                "size": [8, 0, 0] * len(shown),
                "line": {"width": 1.5},
            },
            showlegend=False,
            hoverinfo="skip",
        )
    if len(drawn.data) > before:
        sign = {"symbol": "circle-open", "color": BASELINE.color, "size": 8, "line": {"width": 1.5}}
        drawn.add_scatter(
            x=[None], y=[None], mode="markers", marker=sign, name="after packing", hoverinfo="skip"
        )
