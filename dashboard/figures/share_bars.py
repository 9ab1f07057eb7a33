"""Lay out stacked bars of confidence bins: panels, axes and legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dashboard.figures.drawing import Drawing
from dashboard.figures.panels import Panels
from dashboard.figures.picked import frame_rows
from dashboard.results.rows import Row, type_name
from dashboard.style.names import TICK, TITLE, in_figure
from dashboard.style.theme import CONFIDENCE, text_on

_COLUMNS = 3


def grid(titles: Sequence[str], *, shared: bool, titled: bool) -> Panels:
    """Return panels with or without titles; `shared` panels have common rows."""
    gap = (0.025 if shared else 0.14, 0.14)
    drawn = Panels(len(titles), _COLUMNS, gap=gap, share_rows=shared)
    if titled:
        drawn.add_titles([in_figure(title, TITLE) for title in titles], size=12)
    return drawn


def style(bin_index: int, name: str, panel: int) -> dict[str, object]:
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


def lanes(names: Sequence[str]) -> dict[str, Any]:
    """Return the axis of named bars, first on top; its range makes every panel show all of them."""
    lanes = [in_figure(name) for name in names]
    order = {"categoryorder": "array", "categoryarray": lanes[::-1], "range": [-0.5, len(names) - 0.5]}
    # Lanes are placed by their full names, as shortened names may be equal.
    return order | {"tickvals": lanes, "ticktext": [in_figure(name, TICK) for name in names]}


def frame(drawn: Panels, index: int, lanes: Sequence[str], rows: Sequence[Row]) -> None:
    """Frame the bars of variants in a panel; `lanes` names its rows but the baseline's, first on top."""
    numbers = [len(lanes) - 1 - lanes.index(type_name(row)) for row in rows]
    place = drawn.place(index)
    frame_rows(drawn, numbers, {"xref": place["xaxis"], "yref": place["yaxis"], "x0": 0, "x1": 100})


def finish(drawn: Panels, title: str) -> Drawing:
    """Set the legend and the axes, with a title under the middle panel of the last row only."""
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
    return drawn
