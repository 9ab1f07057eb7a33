"""Stacked bars of confidence bins: panels, axes and legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dashboard.figures.drawing import Drawing
from dashboard.figures.panels import Panels
from dashboard.style.names import TICK, TITLE, in_figure
from dashboard.style.theme import CONFIDENCE, text_on

_COLUMNS = 3


def grid(titles: Sequence[str], *, shared: bool, titled: bool) -> Panels:
    """Panels left to right and down, with or without titles; `shared` ones have their rows in common."""
    gap = (0.025 if shared else 0.14, 0.14)
    drawn = Panels(len(titles), _COLUMNS, gap=gap, share_rows=shared)
    if titled:
        drawn.add_titles([in_figure(title, TITLE) for title in titles], size=12)
    return drawn


def style(bin_index: int, name: str, panel: int) -> dict[str, object]:
    """Settings of the bars of one bin; the first panel's stand in the legend."""
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
    """Return the axis of named bars, the first on top; with a range, so that no panel leaves one out."""
    lanes = [in_figure(name) for name in names]
    order = {"categoryorder": "array", "categoryarray": lanes[::-1], "range": [-0.5, len(names) - 0.5]}
    # The place of a lane is its whole name, because two may be alike when they are shortened.
    return order | {"tickvals": lanes, "ticktext": [in_figure(name, TICK) for name in names]}


def finish(drawn: Panels, title: str) -> Drawing:
    """Set the axes, of which only the middle panel of the last line is titled, and the legend."""
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
