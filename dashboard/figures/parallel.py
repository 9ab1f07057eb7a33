"""Draw parallel coordinates: variants as lines over axes from the worst to the best measured value."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.figures import charts
from dashboard.figures.drawing import Drawing
from dashboard.figures.picked import name_beside
from dashboard.figures.scores import Axis
from dashboard.results.rows import Row, complete
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.style.names import broken
from dashboard.style.theme import translucent

#: Longest line of an axis's name in a narrow window, in characters.
_NARROW_NAME = 9
_AT_TOP = {"y": 1, "yref": "container", "yanchor": "top"}


def figure(scope: Scope, spokes: Sequence[Axis]) -> Drawing:
    """Draw every variant as a line over axes from the worst to the best of all variants on these tokens."""
    rows = complete(scope.rows, "ln_ppl_ratio")
    if not rows:
        return charts.message_figure("No selected variant was compared with the baseline")
    measured = scope.results.select(scope.all_variants).to_dicts()
    ends = {axis.name: _ends(axis, measured) for axis in spokes}
    drawn = Drawing()
    picking = charts.is_picking(scope.selection, rows)
    for curve in charts.series(scope.results, rows):
        x: list[str | None] = []
        y: list[float | None] = []
        texts, ids = [], []
        for row in sorted(curve.rows, key=lambda row: row["variant_id"] in scope.selection.picked):
            for axis in spokes:
                score = axis.score(row)
                low, high = ends[axis.name]
                known = score is not None and high[0] > low[0]
                x.append(axis.name)
                y.append((score - low[0]) / (high[0] - low[0]) if known and score is not None else None)
                texts.append(axis.hover(row, score) if score is not None else "")
                ids.append(row)
            x.append(spokes[-1].name)
            y.append(None)
            texts.append("")
            ids.append(row)
        drawn.add_scatter(
            x=x,
            y=y,
            mode="lines+markers",
            line={"color": translucent(curve.style.color, 0.12 if picking else 0.5), "width": 1.4},
            marker=curve.marker(7),
            hovertext=texts,
            hoverinfo="text",
            cliponaxis=False,
            **curve.legend,
            **charts.emphasis(scope.selection, rows, ids),
        )
        _highlight(drawn, curve, spokes, ends, scope.selection)
    for axis in spokes:
        for place, (_, text) in zip((0, 1), ends[axis.name], strict=True):
            side = {"yanchor": "top", "yshift": -6} if place == 0 else {"yanchor": "bottom", "yshift": 6}
            drawn.add_annotation(x=axis.name, y=place, text=text, showarrow=False, **side)
    names = [axis.name for axis in spokes]
    drawn.update_xaxes(
        categoryorder="array", categoryarray=names, showgrid=True, showline=False, side="bottom"
    )
    drawn.update_xaxes(range=[-0.35, len(names) - 0.65], ticks="", tickfont={"size": 12})
    drawn.update_yaxes(visible=False, range=[-0.14, 1.14])
    drawn.update_layout(showlegend=True)
    short = {"tickvals": names, "ticktext": [broken(name, _NARROW_NAME) for name in names], "tickangle": 0}
    drawn.update_narrow(xaxis=short, margin={"t": 70, "l": 16, "r": 16}, legend=_AT_TOP)
    return drawn


End = tuple[float, str]


def _ends(axis: Axis, rows: Sequence[Row]) -> tuple[End, End]:
    """Return the worst and best score on an axis over the whole folder, with their values."""
    scored = [(score, axis.raw(row)) for row in rows if (score := axis.score(row)) is not None]
    return (min(scored), max(scored)) if scored else ((0.0, ""), (0.0, ""))


def _highlight(
    drawn: Drawing,
    curve: charts.Series,
    spokes: Sequence[Axis],
    ends: dict[str, tuple[End, End]],
    selection: Selection,
) -> None:
    """Draw the picked variants' lines again, bold."""
    for row in curve.rows:
        if row["variant_id"] not in selection.picked:
            continue
        known = [(axis, score) for axis in spokes if (score := axis.score(row)) is not None]
        places = [
            (axis.name, (score - low) / (high - low))
            for axis, score in known
            for (low, _), (high, _) in [ends[axis.name]]
            if high > low
        ]
        drawn.add_scatter(
            x=[name for name, _ in places],
            y=[place for _, place in places],
            mode="lines",
            line={"color": curve.style.color, "width": 3},
            showlegend=False,
            hoverinfo="skip",
        )
        if places:
            name_beside(
                drawn, row, places[-1], curve.style.color, xanchor="right", yanchor="bottom", xshift=-8
            )
