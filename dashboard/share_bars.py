"""Stacked bars of confidence bins: panels, axes and legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.theme import CONFIDENCE_TEXT

_COLUMNS = 3


def grid(titles: Sequence[str], *, shared: bool, titled: bool) -> go.Figure:
    """Panels left to right and down, with or without titles; `shared` ones have their rows in common."""
    columns = min(_COLUMNS, len(titles))
    lines = -(-len(titles) // columns)
    drawn = make_subplots(
        rows=lines,
        cols=columns,
        shared_yaxes=shared,
        shared_xaxes=True,
        horizontal_spacing=0.025 if shared else 0.14,
        vertical_spacing=0.14,
        subplot_titles=titles if titled else None,
    )
    drawn.update_annotations(font={"size": 12})
    drawn.update_layout(meta={"columns": columns})
    return drawn


def place(drawn: go.Figure, index: int) -> dict[str, int]:
    """Row and column of a panel of `grid`."""
    columns = drawn.layout.meta["columns"]
    return {"row": index // columns + 1, "col": index % columns + 1}


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
        "textfont": {"color": CONFIDENCE_TEXT[bin_index], "size": 10},
        "hoverinfo": "text",
    }


def lanes(names: Sequence[str]) -> dict[str, Any]:
    """Return the axis of named bars, the first on top; with a range, so that no panel leaves one out."""
    order = {"categoryorder": "array", "categoryarray": list(names)[::-1]}
    return order | {"range": [-0.5, len(names) - 0.5], "dtick": 1}


def finish(drawn: go.Figure, title: str) -> go.Figure:
    """Set the axes, of which only the middle panel of the last line is titled, and the legend."""
    drawn.update_layout(
        barmode="stack",
        bargap=0.16,
        legend={"traceorder": "normal", "title": {"text": "top token's probability ", "font": {"size": 11}}},
    )
    lines = len({annotation.y for annotation in drawn.layout.annotations}) or 1
    drawn.update_xaxes(
        range=[0, 100], showgrid=False, tickvals=[25, 50, 75], ticktext=["25 %", "50 %", "75 %"]
    )
    drawn.update_xaxes(title_text=title, row=lines, col=(drawn.layout.meta["columns"] + 1) // 2)
    drawn.update_yaxes(ticks="", showline=False)
    drawn.update_layout(legend_y=1.09 if drawn.layout.annotations else 1.01, margin={"t": 70}, meta=None)
    return drawn
