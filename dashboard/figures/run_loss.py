"""Draw the loss that running a file in an engine adds to its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from dashboard.figures import charts
from dashboard.figures.crowd import FAINT
from dashboard.figures.drawing import Drawing
from dashboard.figures.scales import LogScale
from dashboard.insights.engine_gap import GAP, loss_as_run, words
from dashboard.results.engines import ENGINE, in_words
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.style.theme import BASELINE, translucent

_DASH = "line-ew-open"


def add_run_loss(
    drawn: Drawing,
    curves: Sequence[charts.Series],
    selection: Selection,
    rows: Sequence[Row],
    column: str,
    scale: LogScale,
    *,
    hollow: bool = True,
    named: bool = True,
    vivid: Collection[str] | None = None,
) -> None:
    """Draw a line from each file to its loss as run: a hollow marker, or else a dash.

    It is drawn of picked files or, without any, of those in `vivid` (None: all). If `named`, the legend explains it.
    """
    picking = charts.is_picking(selection, rows)
    wanted = selection.picked if picking else vivid
    before = len(drawn.data)
    for curve in curves:
        known = [row for row in curve.rows if row[GAP] is not None]
        shown = [row for row in known if wanted is None or row["variant_id"] in wanted]
        if not shown:
            continue
        drawn.add_scatter(
            x=[value for row in shown for value in (row[column], row[column], None)],
            y=[
                value
                for row in shown
                for value in (scale.place(loss_as_run(row)), scale.place(row["kld_mean"]), None)
            ],
            mode="lines+markers",
            line={"color": curve.style.color, "width": 1.5},
            marker={
                "symbol": f"{curve.style.symbol}-open" if hollow else _DASH,
                "color": curve.style.color,
                "size": [8, 0, 0] * len(shown),
                "line": {"width": 1.5},
            },
            showlegend=False,
            hoverinfo="skip",
        )
    if named and len(drawn.data) > before:
        sign = {
            "symbol": "circle-open" if hollow else _DASH,
            "color": BASELINE.color,
            "size": 8,
            "line": {"width": 1.5},
        }
        name = words(rows[0][ENGINE]).after if hollow else "as run in the engine"
        drawn.add_scatter(x=[None], y=[None], mode="markers", marker=sign, name=name, hoverinfo="skip")


def add_other_engine(
    drawn: Drawing,
    scope: Scope,
    rows: Sequence[Row],
    more: Sequence[Row],
    column: str,
    scale: LogScale,
    hover: Mapping[str, str],
    vivid: Collection[str] | None = None,
) -> None:
    """Draw the files as run in the other engines, `more`: open points, with a dotted line per method.

    A line joins the two points of a picked file. In a crowd, files that are not in `vivid` are faint, there are no
    dotted lines, and without picks the two points of the vivid files are joined.
    """
    picked = scope.selection.picked
    wanted = picked if vivid is None or charts.is_picking(scope.selection, rows) else vivid
    own = {row["variant_id"]: row for row in rows}
    curves = charts.series(scope.results, more)
    add_run_loss(drawn, curves, scope.selection, more, column, scale, hollow=False, named=False, vivid=vivid)
    for curve in curves:
        joined = [row for row in curve.rows if row["variant_id"] in wanted]
        drawn.add_scatter(
            x=[x for row in joined for x in (own[row["variant_id"]][column], row[column], None)],
            y=[y for row in joined for y in (*[scale.place(row["kld_mean"])] * 2, None)],
            mode="lines",
            line={"color": translucent(curve.style.color, 0.35), "width": 1},
            showlegend=False,
            hoverinfo="skip",
        )
        marker = {"symbol": f"{curve.style.symbol}-open", "color": curve.style.color, "size": 9}
        if vivid is not None:
            marker["opacity"] = [1.0 if row["variant_id"] in vivid else FAINT for row in curve.rows]
        drawn.add_scatter(
            x=[row[column] for row in curve.rows],
            y=[scale.place(row["kld_mean"]) for row in curve.rows],
            mode="lines+markers" if vivid is None else "markers",
            line=charts.line(curve, scope.selection, rows) | {"dash": "dot", "width": 1.2},
            marker=marker | {"line": {"width": 2}},
            hovertext=[hover[row["variant_id"]] for row in curve.rows],
            **charts.points(curve, scope.selection, rows) | {"showlegend": False},
        )
    for engine, symbol in ((rows[0][ENGINE], "circle"), *((name, "circle-open") for name in _engines(more))):
        sign = {"symbol": symbol, "color": BASELINE.color, "size": 9, "line": {"width": 2}}
        name = in_words(engine)
        drawn.add_scatter(x=[None], y=[None], mode="markers", marker=sign, name=name, hoverinfo="skip")


def _engines(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row[ENGINE] for row in rows))
