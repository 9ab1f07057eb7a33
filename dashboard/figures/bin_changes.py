"""Draw how each bin's share of tokens changes from the baseline: a panel per bin, bars to both sides of zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from dashboard.figures import charts
from dashboard.figures.axes import nice_step
from dashboard.figures.drawing import Drawing
from dashboard.figures.panels import Panels
from dashboard.figures.picked import frame_rows
from dashboard.insights.confidence import SURE, Change, bin_names
from dashboard.results.rows import Row, by_method, type_name
from dashboard.results.selection import Selection
from dashboard.results.statistics import Estimate
from dashboard.style import formats
from dashboard.style.names import TICK, TITLE, in_figure
from dashboard.style.theme import CONFIDENCE

_DIMMED = 0.3
_GAP = 0.012
#: Width of the narrowest panel, and room for the title's value beside its bar, as shares of all panels.
_LEAST, _FOR_VALUE = 0.12, 0.1
#: With more rows than this the error bars would touch.
_MOST_WITH_ERRORS = 60
_TICKS = 12
_EXACT = 1e-12


def figure(changes: Sequence[Change], told: str, selection: Selection) -> Drawing:
    """Draw a row per variant, grouped by method with the largest on top; `told` is the title's variant or empty."""
    lanes = _lanes([change.row for change in changes])
    number = {lane["variant_id"]: place for place, lane in enumerate(lanes) if isinstance(lane, dict)}
    names = bin_names()
    drawn = Panels(len(names), len(names), gap=(_GAP, 0.0))
    ordered = sorted(changes, key=lambda change: number[change.row["variant_id"]])
    picking = charts.is_picking(selection, [change.row for change in ordered])
    roomy = len(lanes) <= _MOST_WITH_ERRORS
    for index, name in enumerate(names):
        faint = [picking and change.row["variant_id"] not in selection.picked for change in ordered]
        drawn.add_bar(
            x=[100 * change.bins[index].value for change in ordered],
            y=[number[change.row["variant_id"]] for change in ordered],
            orientation="h",
            marker={"color": CONFIDENCE[index], "opacity": [_DIMMED if dim else 1 for dim in faint]},
            customdata=[[change.row["variant_id"], index] for change in ordered],
            hovertext=[_hover(change, index, name) for change in ordered],
            hoverinfo="text",
            name=name,
            meta={"bin": index},
            showlegend=True,
            legend=_legend(index),
            **(_errors([change.bins[index] for change in ordered]) if roomy else {}),
            **drawn.place(index),
        )
    of = {change.row["variant_id"]: change for change in ordered}
    _across(drawn, ordered, of.get(told))
    _down(drawn, lanes, told, selection)
    if told in of:
        _value(drawn, number[told], of[told].bins[SURE])
    return drawn


def _lanes(rows: Sequence[Row]) -> list[Row | str]:
    """Return what stands in each row from the top: variants, and names of methods with several of them."""
    groups = by_method(rows)
    if max(map(len, groups.values())) == 1:
        return [row for group in groups.values() for row in group]
    lanes: list[Row | str] = []
    for name, group in groups.items():
        lanes += [name, *reversed(group)]
    return lanes


def _errors(estimates: Sequence[Estimate]) -> dict[str, Any]:
    """Return 95 % error bars in points; one that was not measured has no length."""
    halves = [100 * estimate.half if estimate.has_error else 0.0 for estimate in estimates]
    return {"error_x": {"type": "data", "array": halves, "thickness": 1, "width": 0}}


def _legend(index: int) -> str:
    """Return plotly.js's name of a panel's legend, which is its heading."""
    return "legend" if index == 0 else f"legend{index + 1}"


def _ends(changes: Sequence[Change], index: int) -> tuple[float, float]:
    """Return the ends of the bars and error bars of a panel in points, zero among them."""
    estimates = [change.bins[index] for change in changes]
    halves = [estimate.half if estimate.has_error else 0.0 for estimate in estimates]
    low = min(estimate.value - half for estimate, half in zip(estimates, halves, strict=True))
    high = max(estimate.value + half for estimate, half in zip(estimates, halves, strict=True))
    return 100 * min(low, 0.0), 100 * max(high, 0.0)


def _across(drawn: Panels, changes: Sequence[Change], told: Change | None) -> None:
    """Give all panels one scale: each is as wide as its bars need."""
    ends = [_ends(changes, index) for index in range(len(bin_names()))]
    total = sum(high - low for low, high in ends) or 1.0
    widened = []
    for index, (low, high) in enumerate(ends):
        room = _FOR_VALUE * total if told is not None and index == SURE else 0.0
        left, right = (0.0, room) if told is not None and told.bins[SURE].value < 0 else (room, 0.0)
        start, stop = min(low, -left) - 0.01 * total, max(high, right) + 0.01 * total
        more = max(0.0, _LEAST * total - (stop - start)) / 2
        widened.append((start - more, stop + more))
    widths = [stop - start for start, stop in widened]
    scale = (1 - _GAP * (len(widths) - 1)) / sum(widths)
    edges = [0.0, *accumulate(scale * width + _GAP for width in widths)]
    step = nice_step(sum(widths) / _TICKS)
    for index, (start, stop) in enumerate(pairwise(edges)):
        domain = [start, min(stop - _GAP, 1.0)]
        ticks = [
            step * n
            for n in range(math.ceil(widened[index][0] / step), math.floor(widened[index][1] / step) + 1)
        ]
        drawn.update_xaxes(
            cells=[index],
            domain=domain,
            range=list(widened[index]),
            zeroline=True,
            zerolinewidth=1.5,
            tickvals=ticks,
            ticktext=[_tick(tick) for tick in ticks],
            tickangle=0,
            showline=False,
        )
        heading = {
            "x": sum(domain) / 2,
            "xanchor": "center",
            "y": 1.0,
            "yanchor": "bottom",
            "orientation": "h",
        }
        drawn.update_layout(**{_legend(index): heading})
    drawn.add_annotation(
        text="change of the share of tokens, in percentage points",
        x=0.5,
        y=0,
        yshift=-26,
        xref="paper",
        yref="paper",
        yanchor="top",
        showarrow=False,
        font={"size": 12},
    )


def _tick(points: float) -> str:
    """Write a tick with its sign."""
    return f"{points:+.12g}".replace("-", formats.MINUS) if abs(points) > _EXACT else "0"


def _down(drawn: Panels, lanes: Sequence[Row | str], told: str, selection: Selection) -> None:
    """Name the rows: methods and the title's variant are bold, picked variants are framed."""
    headed = any(isinstance(lane, str) for lane in lanes)
    texts = []
    for lane in lanes:
        if isinstance(lane, str):
            texts.append(f"<b>{in_figure(lane, TITLE)}</b>")
            continue
        name = in_figure(type_name(lane), TICK) if headed else in_figure(lane["label"], TITLE)
        texts.append(f"<b>{name}</b>" if lane["variant_id"] == told else name)
    drawn.update_yaxes(
        range=[len(lanes) - 0.5, -0.5],
        tickvals=list(range(len(lanes))),
        ticktext=texts,
        ticks="",
        showline=False,
        showgrid=False,
    )
    chosen = (
        place
        for place, lane in enumerate(lanes)
        if isinstance(lane, dict) and lane["variant_id"] in selection.picked
    )
    frame_rows(drawn, chosen, {"xref": "paper", "yref": "y", "x0": 0, "x1": 1})
    drawn.update_layout(bargap=0.25, margin={"t": 50, "b": 58})


def _value(drawn: Panels, row: int, change: Estimate) -> None:
    """Write the title's value on the free side of zero, beyond the error bar."""
    lost = change.value < 0
    half = change.half if change.has_error else 0.0
    beside = max(change.value + half, 0.0) if lost else min(change.value - half, 0.0)
    text = formats.with_error(100 * change.value, 100 * change.half, plus=True)
    place = drawn.place(SURE)
    drawn.add_annotation(
        text=f"<b>{text}</b>",
        x=100 * beside,
        y=row,
        xref=place["xaxis"],
        yref="y",
        xanchor="left" if lost else "right",
        xshift=4 if lost else -4,
        showarrow=False,
        font={"size": 11},
    )


def _hover(change: Change, index: int, name: str) -> str:
    estimate, share = change.bins[index], change.own.values[index]
    moved = formats.with_error(100 * estimate.value, 100 * estimate.half, plus=True)
    return (
        f"<b>{in_figure(change.row['label'])}</b><br>top probability {name}: {moved} points<br>"
        f"{formats.percent(share, 2)} of {formats.count(change.own.n)} tokens, the baseline "
        f"{formats.percent(share - estimate.value, 2)}"
    )
