"""Draw mean KLD against file size: every file labelled, the answer ringed, the user's memory as a line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dashboard.figures import axes, charts, point_labels
from dashboard.figures.callouts import BOLD, CHARACTER, Box, Label
from dashboard.figures.drawing import Drawing
from dashboard.figures.labels import shares
from dashboard.figures.point_labels import RING, Labelled
from dashboard.figures.size_loss_axes import COLUMN, SizeLossAxes
from dashboard.figures.size_loss_guides import guides, handle, memory
from dashboard.results.rows import Row, type_name
from dashboard.results.scope import Scope
from dashboard.style import names

NOTHING_DRAWN = "No selected file has a mean KLD"
#: Opacity of files beyond the limits.
_DIM = 0.28
#: Longest name of a method in characters.
_NAME = 22
#: Ranks of labels after the names of methods: the answer and picks, files that no smaller one beats, others.
_TOLD, _FRONT, _OTHER = 1, 2, 3
#: Pixels above the plot: the tools, and below them what the memory line says.
_ABOVE = 48
#: The legend of several models or devices, above what the memory line says; and where it is in a narrow window.
_LEGEND, _NARROW = {"traceorder": "normal", "y": 1.035}, {"y": 1.08}


def draw(scope: Scope, rows: Sequence[Row]) -> Drawing:
    """Draw the files of `rows`, which have a size and a mean KLD; see the module."""
    if not rows:
        return charts.message_figure(NOTHING_DRAWN)
    plot, drawn = SizeLossAxes(scope, rows), Drawing()
    taken = guides(drawn, plot)
    for curve in plot.curves:
        _curve(drawn, plot, curve)
    _ring(drawn, plot)
    _labels(drawn, plot, taken)
    memory(drawn, plot)
    charts.add_places(drawn, plot.curves)
    sizes = [row["size_bytes"] for row in rows]
    several = any(curve.nth for curve in plot.curves)
    drawn.update_layout(showlegend=several, legend=_LEGEND, margin_t=_ABOVE, meta={"memory": handle(plot)})
    drawn.update_narrow(legend=_NARROW)
    drawn.update_xaxes(title_text=axes.size_title(sizes), range=plot.x_range)
    drawn.update_yaxes(title_text="mean KLD (nats per token, log scale)", **plot.scale.axis)
    return drawn


def _curve(drawn: Drawing, plot: SizeLossAxes, curve: charts.Series) -> None:
    """Draw a method's files and their 95 % intervals, those beyond the limits faint and without an interval."""
    selection, rows = plot.scope.selection, plot.rows
    ends = [(0.0, 0.0) if plot.is_beyond(row) else plot.interval(row) for row in curve.rows]
    drawn.add_scatter(
        x=[plot.x(row) for row in curve.rows],
        y=[plot.scale.place(row[COLUMN]) for row in curve.rows],
        mode="lines+markers",
        line=charts.line(curve, selection, rows),
        marker=_marker(plot, curve),
        error_y=charts.error_bars(curve.style, [up for up, _ in ends], [down for _, down in ends]),
        hovertext=[charts.quality_lines(row) for row in curve.rows],
        **charts.points(curve, selection, rows) | {"showlegend": False},
    )


def _marker(plot: SizeLossAxes, curve: charts.Series) -> dict[str, Any]:
    """Return the marker of a curve's points: faint beyond the limits, open below the log axis."""
    marker = curve.marker() | {"opacity": [_DIM if plot.is_beyond(row) else 1.0 for row in curve.rows]}
    if all(row[COLUMN] > 0 for row in curve.rows):
        return marker
    hollow = f"{curve.style.symbol}-open"
    return marker | {"symbol": [marker["symbol"] if row[COLUMN] > 0 else hollow for row in curve.rows]}


def _ring(drawn: Drawing, plot: SizeLossAxes) -> None:
    """Ring the file that the headline names."""
    row = plot.answer
    if row is None:
        return
    drawn.add_scatter(
        x=[plot.x(row)],
        y=[plot.scale.place(row[COLUMN])],
        mode="markers",
        marker={
            "symbol": "circle-open",
            "size": RING,
            "color": plot.scope.results.styles[row["method"]].color,
            "line": {"width": 2.5},
        },
        hoverinfo="skip",
        showlegend=False,
    )


def _labels(drawn: Drawing, plot: SizeLossAxes, taken: Sequence[Box]) -> None:
    """Write the name of a method at one end of its line, and the type of every file."""
    ends = [(curve.rows[0 if plot.named_left else -1], _name(curve)) for curve in plot.curves]
    types = _types(plot, [row for curve in plot.curves for row in curve.rows])
    curves = [[(plot.x(row), plot.height(row)) for row in curve.rows] for curve in plot.curves]
    lines = [shares(curve, plot.ranges) for curve in curves]
    styles = plot.scope.results.styles
    items = [
        Labelled(
            (plot.x(row), plot.height(row)),
            label,
            styles[row["method"]].color,
            _is_faint(plot, row),
            None if label.rank else {"name": row["method"], "captureevents": True},
        )
        for row, label in [*ends, *types]
    ]
    point_labels.write(drawn, items, plot.ranges, lines, taken)


def _types(plot: SizeLossAxes, rows: Sequence[Row]) -> list[tuple[Row, Label]]:
    """Return each file's type as a label; at one place, files of one method share it, and those of one type."""
    labelled: list[tuple[Row, Label]] = []
    for row in rows:
        label = _label(plot, row)
        there = [(index, one, other) for index, (one, other) in enumerate(labelled) if _is_at(row, one)]
        if any(label.text == other.text for _, _, other in there):
            continue
        mates = [(index, other) for index, one, other in there if one["method"] == row["method"]]
        if mates and _TOLD not in {label.rank, mates[0][1].rank}:
            index, other = mates[0]
            both = Label(f"{other.text}, {label.text}", other.width + label.width + 2 * CHARACTER, other.rank)
            labelled[index] = (labelled[index][0], both)
        else:
            labelled.append((row, label))
    return labelled


def _is_at(row: Row, other: Row) -> bool:
    near = math.isclose(row["size_bytes"], other["size_bytes"], rel_tol=1e-3)
    return near and math.isclose(row[COLUMN], other[COLUMN], rel_tol=1e-2)


def _is_faint(plot: SizeLossAxes, row: Row) -> bool:
    if charts.is_picking(plot.scope.selection, plot.rows):
        return row["variant_id"] not in plot.scope.selection.picked
    return plot.is_beyond(row)


def _name(curve: charts.Series) -> Label:
    """Return the name of a curve's method with its sign in its colour; the legend tells models and devices apart."""
    name = names.short(curve.method, _NAME)
    sign = f'<span style="color:{curve.style.color}">{curve.style.glyph}</span>'
    return Label(f"{sign} <b>{names.in_figure(name)}</b>", BOLD * (len(name) + 2))


def _label(plot: SizeLossAxes, row: Row) -> Label:
    """Return a file's type, bold if it is picked or the answer."""
    kind = names.short(type_name(row), names.POINT)
    is_answer, picked = row is plot.answer, row["variant_id"] in plot.scope.selection.picked
    rank = _TOLD if is_answer or picked else _FRONT if row in plot.front else _OTHER
    why = " · within your limits" if plot.answers.advice is not None else " · everyday use"
    more = why if is_answer else ""
    return point_labels.label(kind, rank, bold=is_answer or picked, more=more, ringed=is_answer)
