"""Draw stacked bars of confidence bins: per variant with a panel per method, or per bin of the baseline."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from typing import Any

from dashboard.figures import charts
from dashboard.figures.drawing import Drawing
from dashboard.figures.panels import Panels
from dashboard.figures.picked import frame_rows
from dashboard.insights.confidence import Shares, bin_names, bins_told
from dashboard.results.rows import Row, type_name
from dashboard.results.selection import Selection
from dashboard.style import formats
from dashboard.style.names import TICK, TITLE, in_figure
from dashboard.style.theme import CONFIDENCE, QUIET, text_on

_COLUMNS = 3
_DIMMED = 0.3
#: Least share, in per cent, that is written into its bar.
_LEAST_WRITTEN = 9
#: Height of a bar with its distance to the next in a narrow window, in pixels.
_NARROW_ROW = 18


def own_shares(
    groups: Mapping[str, Sequence[Shares]], bases: Sequence[Shares | None], told: str, selection: Selection
) -> Drawing:
    """Draw the shares of every method's variants below their baseline's; `told` is the title's variant or empty."""
    rows = {name: [item.row for item in group] for name, group in groups.items()}
    apart = _names_differ([{type_name(row) for row in group} for group in rows.values()])
    drawn = _grid(list(groups), shared=not apart, titled=len(groups) > 1)
    order = sorted((row for group in rows.values() for row in group), key=lambda row: row["bits_per_weight"])
    names = list(dict.fromkeys(type_name(row) for row in reversed(order)))
    drawn.update_yaxes(**_lanes(["baseline", *names]))
    for index, (group, base) in enumerate(zip(groups.values(), bases, strict=True)):
        mine = [item.row for item in reversed(group)]
        lanes = [type_name(row) for row in mine] if apart else names
        if apart:
            drawn.update_yaxes(cells=[index], **_lanes(["baseline", *lanes]))
        bars = [("baseline", base)] if base is not None else []
        bars += [(type_name(item.row), item) for item in group]
        _stack(drawn, index, bars, selection, order)
        if any(row["variant_id"] == told for row in mine):
            ours = [bar for bar in bars if bar[1] is base or bar[1].row["variant_id"] == told]
            _levels(drawn, index, ours, bins_told(selection))
        _frame(drawn, index, lanes, [row for row in mine if row["variant_id"] in selection.picked])
        if base is not None:
            _reference(drawn, index, base)
    return _finish(
        drawn, "share of scored tokens", 1 + max(map(len, [*groups.values()] if apart else [names]))
    )


def _names_differ(panels: Sequence[set[str]]) -> bool:
    """Return whether panels share so few names that common rows would be mostly empty."""
    return len(set().union(*panels)) > 1.5 * max(map(len, panels))


def _stack(
    drawn: Panels,
    index: int,
    bars: Sequence[tuple[str, Shares]],
    selection: Selection,
    shown: Sequence[Row],
) -> None:
    """Add the named bars of one panel."""
    picking = charts.is_picking(selection, shown)
    for bin_index, name in enumerate(bin_names()):
        values = [100 * item.values[bin_index] for _, item in bars]
        dim = [picking and not _stays(item.row, selection) for _, item in bars]
        drawn.add_bar(
            y=[in_figure(label) for label, _ in bars],
            x=values,
            orientation="h",
            marker={
                "color": CONFIDENCE[bin_index],
                "opacity": [_DIMMED if faint else 1 for faint in dim],
            },
            text=[f"{value:.0f}" if value >= _LEAST_WRITTEN else "" for value in values],
            customdata=[[item.row["variant_id"], bin_index] for _, item in bars],
            hovertext=[_hover(item, bin_index, name) for _, item in bars],
            **_style(bin_index, name, index),
            **drawn.place(index),
        )


def _text(share: float, *, bold: bool) -> str:
    """Write a share in per cent: what the title says with its decimal, others as far as they fit."""
    if bold:
        return f"<b>{formats.percent(share / 100)}</b>"
    return f"{share:.0f}" if share >= _LEAST_WRITTEN else ""


def _levels(drawn: Panels, index: int, bars: Sequence[tuple[str, Shares]], told: Sequence[int]) -> None:
    """Write the shares of the bins `told`, which the title gives, beside their bars."""
    place = drawn.place(index)
    for name, item in bars:
        drawn.add_annotation(
            text=f"<b>{formats.percent(sum(item.values[bin_told] for bin_told in told))}</b>",
            x=100,
            y=in_figure(name),
            xref=place["xaxis"],
            yref=place["yaxis"],
            xanchor="left",
            xshift=1,
            showarrow=False,
            font={"size": 10},
        )
    drawn.update_layout(margin={"r": 44})


def _stays(row: Row, selection: Selection) -> bool:
    return bool(row["is_baseline"]) or row["variant_id"] in selection.picked


def _reference(drawn: Panels, index: int, base: Shares) -> None:
    """Draw the baseline's bin edges down a panel as lines."""
    x, y = drawn.place(index)["xaxis"], drawn.place(index)["yaxis"]
    line = {"color": "rgba(255,255,255,0.7)", "width": 1.3, "dash": "dot"}
    for edge in list(accumulate(base.values))[:-1]:
        place = {"xref": x, "yref": f"{y} domain", "x0": 100 * edge, "x1": 100 * edge, "y0": 0, "y1": 1}
        drawn.add_shape(type="line", line=line, **place)


def by_baseline(
    moved_to: Sequence[tuple[Row, Sequence[Mapping[str, Any]]]], told: Collection[str], selection: Selection
) -> Drawing:
    """Draw, per variant, into which bins the tokens of each baseline bin moved; `told` are the title's variants."""
    bins = bins_told(selection)
    drawn = _grid([str(row["label"]) for row, _ in moved_to], shared=True, titled=True)
    names = bin_names()
    for index, (row, lines) in enumerate(moved_to):
        for own, name in enumerate(names):
            values = [100 * line[f"bin{own}"] / line["n"] for line in lines]
            drawn.add_bar(
                y=[names[line["bin"]] for line in lines],
                x=values,
                orientation="h",
                marker={
                    "color": CONFIDENCE[own],
                    "line": {"width": [2 if line["bin"] == own else 0 for line in lines], "color": QUIET},
                },
                text=[
                    _text(share, bold=row["variant_id"] in told and line["bin"] == own in bins)
                    for share, line in zip(values, lines, strict=True)
                ],
                customdata=[[row["variant_id"], line["bin"]] for line in lines],
                hovertext=[_moved_hover(row, line, name, names) for line in lines],
                **_style(own, name, index),
                **drawn.place(index),
            )
    drawn.update_yaxes(**_lanes(names[::-1]))
    drawn.update_yaxes(cells=drawn.first_column, title_text="the baseline's bin")
    return _finish(drawn, "share of the bin's tokens, by the variant's own probability", len(names))


def _hover(item: Shares, index: int, name: str) -> str:
    return (
        f"<b>{in_figure(item.row['label'])}</b><br>top probability {name}<br>"
        f"{formats.percent(item.values[index], 2)} of {formats.count(item.n)} tokens"
    )


def _moved_hover(row: Row, line: Mapping[str, Any], name: str, names: Sequence[str]) -> str:
    share = formats.percent(line[f"bin{names.index(name)}"] / line["n"])
    tokens = f"of {formats.count(int(line['n']))} tokens at {names[int(line['bin'])]} in the baseline"
    text = [f"<b>{in_figure(row['label'])}</b>", tokens, f"{share} are at {name} here"]
    if line["kld"] is not None:
        text.append(
            f"mean KLD {formats.number(line['kld'])} nats, same top token {formats.percent(line['same_top'])}"
        )
    return "<br>".join(text)


def _grid(titles: Sequence[str], *, shared: bool, titled: bool) -> Panels:
    """Return panels with or without titles; `shared` panels have common rows."""
    gap = (0.025 if shared else 0.14, 0.14)
    drawn = Panels(len(titles), _COLUMNS, gap=gap, share_rows=shared)
    if titled:
        drawn.add_titles([in_figure(title, TITLE) for title in titles], size=12)
    return drawn


def _style(bin_index: int, name: str, panel: int) -> dict[str, object]:
    """Return the settings of one bin's bars; only those of the first panel are in the legend."""
    return {
        "name": name,
        "legendgroup": f"bin{bin_index}",
        "meta": {"bin": bin_index},
        "showlegend": panel == 0,
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "textfont": {"color": text_on(CONFIDENCE[bin_index]), "size": 10},
        "hoverinfo": "text",
    }


def _lanes(names: Sequence[str]) -> dict[str, Any]:
    """Return the axis of named bars, first on top; its range makes every panel show all of them."""
    lanes = [in_figure(name) for name in names]
    order = {"categoryorder": "array", "categoryarray": lanes[::-1], "range": [-0.5, len(names) - 0.5]}
    # Lanes are placed by their full names, as shortened names may be equal.
    return order | {"tickvals": lanes, "ticktext": [in_figure(name, TICK) for name in names]}


def _frame(drawn: Panels, index: int, lanes: Sequence[str], rows: Sequence[Row]) -> None:
    """Frame the bars of variants in a panel; `lanes` names its rows but the baseline's, first on top."""
    numbers = [len(lanes) - 1 - lanes.index(type_name(row)) for row in rows]
    place = drawn.place(index)
    frame_rows(drawn, numbers, {"xref": place["xaxis"], "yref": place["yaxis"], "x0": 0, "x1": 100})


def _finish(drawn: Panels, title: str, most: int) -> Drawing:
    """Set the legend and the axes, with a title under the middle panel of the last row only.

    A panel has `most` bars at most, from which its height in a narrow window follows.
    """
    drawn.update_layout(
        barmode="stack",
        bargap=0.16,
        legend={"traceorder": "normal", "title": {"text": "top token's probability ", "font": {"size": 11}}},
    )
    drawn.update_xaxes(
        range=[0, 100], showgrid=False, tickvals=[25, 50, 75], ticktext=["25 %", "50 %", "75 %"]
    )
    drawn.update_xaxes(cells=[drawn.lowest[(drawn.columns - 1) // 2]], title_text=title)
    drawn.update_yaxes(ticks="", showline=False)
    drawn.update_layout(legend_y=1.09 if "annotations" in drawn.layout else 1.01, margin={"t": 70})
    drawn.stack(_NARROW_ROW * most, (96, 66))
    drawn.update_yaxes(cells=drawn.first_column[1:], narrow=True, title_text="")
    drawn.update_narrow(margin={"l": 40}, legend={"y": 1, "yref": "container", "yanchor": "top"})
    return drawn
