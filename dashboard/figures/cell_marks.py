"""Mark cells of heatmaps of layers: outlines, the value that the title tells, groups of roles, and what is empty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import Any

from dashboard.figures.drawing import Drawing
from dashboard.figures.panels import Panels
from dashboard.insights.layers import Cell, Parts
from dashboard.style.theme import GAP, MARK, text_on

#: Layers and roles to outline; an empty set means all if the other is not empty.
Marked = tuple[frozenset[int], frozenset[str]]
#: Layers across and roles down.
Grid = tuple[Sequence[int], Sequence[str]]
#: The cells that the title is about: by variant, the cell and its value as written.
Told = Mapping[str, tuple[Cell, str]]
NOTHING_TOLD: Told = MappingProxyType({})


def separate(drawn: Panels, index: int, groups: Sequence[Sequence[str]]) -> None:
    """Draw lines between the groups of roles."""
    place = drawn.place(index)
    for row in [*accumulate(map(len, groups))][:-1]:
        at = {"y0": row - 0.5, "y1": row - 0.5, "yref": place["yaxis"]}
        across = {"x0": 0, "x1": 1, "xref": f"{place['xaxis']} domain"}
        drawn.add_shape(type="line", line={"color": GAP, "width": 2}, **across, **at)


def around(place: Mapping[str, str]) -> dict[str, Any]:
    """Return the frame of a whole panel."""
    whole = {"xref": f"{place['xaxis']} domain", "yref": f"{place['yaxis']} domain", "x0": 0, "x1": 1}
    return {"type": "rect", "y0": 0, "y1": 1, "line": {"color": MARK, "width": 2.5}, **whole}


def write_value(
    drawn: Drawing,
    value: str,
    cell: tuple[int, int],
    layers: Sequence[int],
    xaxis: str = "x",
    yaxis: str = "y",
) -> None:
    """Outline a cell (its layer and its row) of a panel over `layers`, and write its value beside it."""
    x, y = cell
    at = {"x0": x - 0.5, "x1": x + 0.5, "y0": y - 0.5, "y1": y + 0.5}
    drawn.add_shape(type="rect", xref=xaxis, yref=yaxis, line={"color": MARK, "width": 2}, **at)
    is_left = x < (layers[0] + layers[-1]) / 2
    drawn.add_annotation(
        x=x,
        y=y,
        xref=xaxis,
        yref=yaxis,
        text=f"<b>{value}</b>",
        ax=26 if is_left else -26,
        ay=-20 if y else 22,
        xanchor="left" if is_left else "right",
        showarrow=True,
        arrowhead=0,
        arrowwidth=1.5,
        arrowcolor=MARK,
        bgcolor=MARK,
        borderpad=2,
        font={"size": 11, "color": text_on(MARK)},
    )


def explain(drawn: Drawing, grid: Grid, parts: Sequence[Parts]) -> None:
    """Say below the panels what the cells without a value mean."""
    kinds = {is_there for part in parts for is_there in _empty(grid, part)}
    texts = ["▨ not measured"] * (True in kinds) + ["── not applicable: the layer has no such part"] * (
        False in kinds
    )
    if texts:
        below = {"x": 0, "y": 0, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "top"}
        drawn.add_annotation(text="     ".join(texts), yshift=-42, showarrow=False, **below)


def _empty(grid: Grid, part: Parts) -> Iterator[bool]:
    """Yield, for every cell without a value, whether the variant has such a part."""
    for role in grid[1]:
        for layer in grid[0]:
            if (layer, role) not in part.values:
                yield (layer, role) in part.places


def outline(drawn: Panels, index: int, roles: Sequence[str], marked: Marked) -> None:
    """Outline the marked cells of a panel."""
    layers, chosen = marked
    if not layers and not chosen:
        return
    across: list[int | None] = [*sorted(layers)] or [None]
    down: list[str | None] = [role for role in roles if role in chosen] or [None]
    x, y = drawn.place(index)["xaxis"], drawn.place(index)["yaxis"]
    for layer in across:
        for role in down:
            if layer is None:
                shape: dict[str, Any] = {"xref": f"{x} domain", "x0": 0, "x1": 1}
            else:
                shape = {"xref": x, "x0": layer - 0.5, "x1": layer + 0.5}
            if role is None:
                shape |= {"yref": f"{y} domain", "y0": 0, "y1": 1}
            else:
                shape |= {"yref": y, "y0": roles.index(role) - 0.5, "y1": roles.index(role) + 0.5}
            drawn.add_shape(type="rect", line={"color": MARK, "width": 2}, **shape)
