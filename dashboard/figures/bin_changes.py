"""Draw how each bin's share of tokens changes from the baseline: a panel per bin, bars to both sides of zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dashboard.figures.bin_panels import GAP, place_panels
from dashboard.figures.drawing import Drawing
from dashboard.figures.panels import Panels
from dashboard.figures.picked import frame_rows
from dashboard.insights.confidence import SURE, Change, bin_names
from dashboard.results.rows import Row, by_method, type_name
from dashboard.results.selection import Selection
from dashboard.results.statistics import Estimate
from dashboard.style import formats
from dashboard.style.names import NARROW, TICK, TITLE, in_figure
from dashboard.style.theme import BASELINE, CONFIDENCE, HIGHLIGHT, translucent

#: Panels side by side in a narrow window, by row.
_NARROW_ROWS = ((0,), (1, 2), (3, 4))
#: Opacities of bars: of files in the title or picked, in other bins than the title's, and of other files.
_VIVID, _BESIDE, _QUIET = 1.0, 0.75, 0.4
#: Error bars of other files, on both backgrounds; those of the first are in the text's colour.
_QUIET_ERROR = translucent(BASELINE.color, 0.45)
#: Width of the narrowest panel, and room for the title's value beside its bar, as shares of all panels.
_LEAST, _FOR_VALUE = 0.15, 0.21
#: With more rows than this the error bars would touch.
_MOST_WITH_ERRORS = 60
_TITLE = "change of the share of tokens, in percentage points"


def figure(changes: Sequence[Change], subject: tuple[Change, int] | None, selection: Selection) -> Drawing:
    """Draw a row per variant, grouped by method, and a panel per bin.

    `subject` is the title's change and bin: its bar is vivid with its value, and its method comes first, as does its
    bin if it is the highest or lowest.
    """
    told = str(subject[0].row["variant_id"]) if subject is not None else ""
    bin_told = subject[1] if subject is not None else SURE
    order = range(SURE, -1, -1) if bin_told == SURE else range(SURE + 1)
    lanes = _lanes([change.row for change in changes], told)
    number = {lane["variant_id"]: place for place, lane in enumerate(lanes) if isinstance(lane, dict)}
    names = bin_names()
    drawn = Panels(len(names), len(names), gap=(GAP, 0.0))
    ordered = sorted(changes, key=lambda change: number[change.row["variant_id"]])
    strength = _strengths(ordered, told, selection)
    roomy = len(lanes) <= _MOST_WITH_ERRORS
    for panel, index in enumerate(order):
        name = names[index]
        drawn.add_bar(
            x=[100 * change.bins[index].value for change in ordered],
            y=[number[change.row["variant_id"]] for change in ordered],
            orientation="h",
            marker={
                "color": CONFIDENCE[index],
                "opacity": [
                    _BESIDE if own == _VIVID and told and index != bin_told else own for own in strength
                ],
            },
            customdata=[[change.row["variant_id"], index] for change in ordered],
            hovertext=[_hover(change, index, name) for change in ordered],
            hoverinfo="text",
            name=name,
            meta={"bin": index},
            showlegend=True,
            legend="legend" if panel == 0 else f"legend{panel + 1}",
            **(_errors(_halves(ordered, index, strength, _VIVID)) if roomy else {}),
            **drawn.place(panel),
        )
        if roomy and _QUIET in strength:
            drawn.add_scatter(
                x=[100 * change.bins[index].value for change in ordered],
                y=[number[change.row["variant_id"]] for change in ordered],
                mode="markers",
                marker={"opacity": 0, "size": 1},
                hoverinfo="skip",
                showlegend=False,
                **_errors(_halves(ordered, index, strength, _QUIET), _QUIET_ERROR),
                **drawn.place(panel),
            )
    value = subject[0].bins[bin_told] if subject is not None else None
    _across(drawn, ordered, order, (bin_told, value), len(lanes))
    _down(drawn, lanes, told, selection)
    if value is not None:
        _value(drawn, drawn.place(order.index(bin_told)), number[told], value)
    return drawn


def _strengths(changes: Sequence[Change], told: str, selection: Selection) -> list[float]:
    """Return the opacity of each variant's bars: the title's and picked variants stand out, if there are any."""
    vivid = {*selection.picked, told}
    own = [change.row["variant_id"] in vivid for change in changes]
    return [_VIVID if is_vivid or not any(own) else _QUIET for is_vivid in own]


def _lanes(rows: Sequence[Row], told: str) -> list[Row | str]:
    """Return what stands in each row from the top: variants, and names of methods with several of them."""
    groups = sorted(
        by_method(rows).items(), key=lambda group: all(row["variant_id"] != told for row in group[1])
    )
    if max(len(group) for _, group in groups) == 1:
        return [row for _, group in groups for row in group]
    lanes: list[Row | str] = []
    for name, group in groups:
        lanes += [name, *group]
    return lanes


def _halves(changes: Sequence[Change], index: int, strength: Sequence[float], wanted: float) -> list[float]:
    """Return the half-widths of a bin's 95 % intervals in points, 0 for bars of another strength or unknown ones."""
    pairs = zip((change.bins[index] for change in changes), strength, strict=True)
    return [100 * estimate.half if own == wanted and estimate.has_error else 0.0 for estimate, own in pairs]


def _errors(halves: Sequence[float], color: str | None = None) -> dict[str, Any]:
    """Return error bars of these lengths, in the text's colour or another; those of 0 are not seen."""
    look = {} if color is None else {"color": color}
    return {"error_x": {"type": "data", "array": list(halves), "thickness": 1, "width": 0, **look}}


def _ends(changes: Sequence[Change], index: int) -> tuple[float, float]:
    """Return the ends of the bars and error bars of a panel in points, zero among them."""
    estimates = [change.bins[index] for change in changes]
    halves = [estimate.half if estimate.has_error else 0.0 for estimate in estimates]
    low = min(estimate.value - half for estimate, half in zip(estimates, halves, strict=True))
    high = max(estimate.value + half for estimate, half in zip(estimates, halves, strict=True))
    return 100 * min(low, 0.0), 100 * max(high, 0.0)


def _across(
    drawn: Panels,
    changes: Sequence[Change],
    order: Sequence[int],
    told: tuple[int, Estimate | None],
    lanes: int,
) -> None:
    """Give all panels one scale: each is as wide as its bars need, and the title's bin as its value needs."""
    ends = [_ends(changes, index) for index in order]
    total = sum(high - low for low, high in ends) or 1.0
    needed = []
    for index, (low, high) in zip(order, ends, strict=True):
        value = told[1] if index == told[0] else None
        room = _FOR_VALUE * total if value is not None else 0.0
        left, right = (0.0, room) if value is not None and value.value < 0 else (room, 0.0)
        start, stop = min(low, -left) - 0.01 * total, max(high, right) + 0.01 * total
        more = max(0.0, _LEAST * total - (stop - start)) / 2
        needed.append((start - more, stop + more))
    drawn.update_xaxes(zeroline=True, zerolinewidth=1.5, tickangle=0, showline=False)
    place_panels(drawn, needed, _NARROW_ROWS, lanes)
    drawn.add_annotation(
        text=_TITLE,
        x=0.5,
        y=0,
        yshift=-26,
        xref="paper",
        yref="paper",
        yanchor="top",
        showarrow=False,
        font={"size": 12},
    )


def _down(drawn: Panels, lanes: Sequence[Row | str], told: str, selection: Selection) -> None:
    """Name the rows: methods and the title's variant are bold, picked variants are framed."""
    drawn.update_yaxes(narrow=True, ticktext=_names(lanes, told, NARROW))
    drawn.update_yaxes(
        range=[len(lanes) - 0.5, -0.5],
        tickvals=list(range(len(lanes))),
        ticktext=_names(lanes, told, TITLE),
        ticks="",
        showline=False,
        showgrid=False,
    )
    chosen = (
        place
        for place, lane in enumerate(lanes)
        if isinstance(lane, dict) and lane["variant_id"] in selection.picked
    )
    across = {"xref": "paper", "yref": "y", "x0": 0, "x1": 1}
    frame_rows(drawn, chosen, across)
    for place, lane in enumerate(lanes):
        if isinstance(lane, dict) and lane["variant_id"] == told:
            band = {"y0": place - 0.5, "y1": place + 0.5, "fillcolor": HIGHLIGHT, "line": {"width": 0}}
            drawn.add_shape(type="rect", layer="below", **across, **band)
    drawn.update_layout(bargap=0.25, margin={"t": 50, "b": 58})


def _names(lanes: Sequence[Row | str], told: str, most: int) -> list[str]:
    """Return the names of the rows in at most so many characters; types are shorter."""
    headed = any(isinstance(lane, str) for lane in lanes)
    texts = []
    for lane in lanes:
        if isinstance(lane, str):
            texts.append(f"<b>{in_figure(lane, most)}</b>")
            continue
        name = in_figure(type_name(lane), TICK) if headed else in_figure(lane["label"], most)
        texts.append(f"<b>{name}</b>" if lane["variant_id"] == told else name)
    return texts


def _value(drawn: Panels, place: Mapping[str, str], row: int, change: Estimate) -> None:
    """Write the title's value on the free side of zero, beyond the error bar."""
    lost = change.value < 0
    half = change.half if change.has_error else 0.0
    beside = max(change.value + half, 0.0) if lost else min(change.value - half, 0.0)
    text = formats.with_error(100 * change.value, 100 * change.half, plus=True)
    drawn.add_annotation(
        text=f"<b>{text}</b>",
        x=100 * beside,
        y=row,
        xref=place["xaxis"],
        yref="y",
        xanchor="left" if lost else "right",
        xshift=4 if lost else -4,
        showarrow=False,
        font={"size": 12},
    )


def _hover(change: Change, index: int, name: str) -> str:
    estimate, share = change.bins[index], change.own.values[index]
    moved = formats.with_error(100 * estimate.value, 100 * estimate.half, plus=True)
    return (
        f"<b>{in_figure(change.row['label'])}</b><br>top probability {name}: {moved} points<br>"
        f"{formats.percent(share, 2)} of {formats.count(change.own.n)} tokens, the baseline "
        f"{formats.percent(share - estimate.value, 2)}"
    )
