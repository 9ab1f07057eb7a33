"""Heatmaps of layers: a panel per variant with roles down, or a strip per variant; one colour scale for all."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from dashboard import axes, formats
from dashboard.charts import Row
from dashboard.insights.layers import WHOLE
from dashboard.theme import MARK, QUIET
from evaluator.frames import ROLES

_WIDE_RANGE = 30
#: Cells side by side up to which a type, or its bits, can be written into one.
_ROOM_FOR_TYPES, _ROOM_FOR_BITS = 22, 60
_COLUMNS = 3
_ROOM_FOR_NAMES = 16
_HOVER = "layer %{x}, %{y}<br>%{customdata[3]}<br>%{customdata[4]}<extra></extra>"
Cell = tuple[int, str]


def panels(
    rows: Sequence[Row],
    found: pl.DataFrame,
    types: Mapping[str, Mapping[Cell, str]],
    title: str,
    marked: tuple[frozenset[int], frozenset[str]],
) -> go.Figure:
    """Draw a panel per variant, layers across and roles down.

    Args:
        rows: the variants, at least one.
        found: their rows of the layer frame with the `value` to draw; more variants do no harm.
        types: tensor type of every layer and role, by variant.
        title: name of the colour scale.
        marked: layers and roles to outline; an empty set of one means all where the other has some.
    """
    columns = min(_COLUMNS, len(rows))
    lines = -(-len(rows) // columns)
    drawn = make_subplots(
        rows=lines,
        cols=columns,
        shared_xaxes=True,
        shared_yaxes=True,
        vertical_spacing=0.19 if lines > 1 else 0,
        horizontal_spacing=0.02,
        subplot_titles=[_title(row, types[row["variant_id"]]) for row in rows],
    )
    drawn.update_annotations(font={"size": 11})
    inside = found.filter(pl.col("variant_id").is_in([row["variant_id"] for row in rows]))
    seen = inside["layer"].to_list()
    layers = list(range(min(seen), max(seen) + 1))
    roles = [role for role in ROLES if role in set(inside["role"].to_list())]
    scale = Scale.of(inside["value"].to_list())
    for index, row in enumerate(rows):
        place = {"row": index // columns + 1, "col": index % columns + 1}
        mine = inside.filter(pl.col("variant_id") == row["variant_id"]).select("layer", "role", "value")
        values = {(layer, role): value for layer, role, value in mine.iter_rows()}
        kinds = types[row["variant_id"]]
        drawn.add_trace(_panel(row, (layers, roles), values, kinds, scale, len(layers) * columns), **place)
        drawn.add_trace(_hatch((layers, roles), values), **place)
    drawn.update_layout(shapes=_outlines(len(rows), roles, marked))
    _x_axis(drawn, layers, columns)
    drawn.update_xaxes(title_text="layer", row=lines)
    drawn.update_yaxes(autorange="reversed", showgrid=False, ticks="", showline=False, dtick=1)
    drawn.update_layout(coloraxis=scale.axis(title), margin={"t": 44, "l": 82, "b": 44})
    return drawn


def _title(row: Row, types: Mapping[Cell, str]) -> str:
    name = f"<b>{row['label']}</b><br>{formats.bits(row['bits_per_weight'])}"
    usual = usual_type(types)
    if usual is None:
        return name
    return f"{name}, all {usual}" if len(set(types.values())) == 1 else f"{name}, mostly {usual}"


def usual_type(types: Mapping[Cell, str]) -> str | None:
    """Return the type of most tensors; None without types."""
    counts = Counter(types.values())
    return min(counts, key=lambda kind: (-counts[kind], kind)) if counts else None


@dataclass(frozen=True)
class Scale:
    """One colour scale for all panels: logarithmic where the values span much."""

    low: float
    high: float
    logarithmic: bool

    @classmethod
    def of(cls, values: Sequence[float]) -> Scale:
        """Span the values but the lowest twentieth; a logarithmic scale covers at most four decades.

        The lowest few, such as an embedding kept at 8 bits, would take the shades away from all the others.
        """
        positive = sorted(value for value in values if value > 0)
        if not positive:
            return cls(0.0, max([*values, 1.0]), logarithmic=False)
        low, high = positive[len(positive) // 20], positive[-1]
        if high / low > _WIDE_RANGE:
            return cls(max(low, high / 1e4), high, logarithmic=True)
        return cls(0.0, high, logarithmic=False)

    def place(self, value: float) -> float:
        """Return where a value lies on the scale."""
        return round(math.log10(max(value, self.low)), 4) if self.logarithmic else float(f"{value:.5g}")

    def axis(self, title: str) -> dict[str, object]:
        """Return Plotly's colour axis."""
        bar: dict[str, object] = {"title": {"text": title, "side": "right"}, "thickness": 12, "len": 0.9}
        if self.logarithmic:
            ticks = axes.decades(self.low, self.high)
            bar |= {
                "tickvals": [math.log10(tick) for tick in ticks],
                "ticktext": [f"{t:.12g}" for t in ticks],
            }
        return {"cmin": self.place(self.low), "cmax": self.place(self.high), "colorbar": bar}


def _panel(
    row: Row,
    grid: tuple[Sequence[int], Sequence[str]],
    values: Mapping[Cell, float],
    types: Mapping[Cell, str],
    scale: Scale,
    across: int,
) -> go.Heatmap:
    """Draw one variant; `across` cells share the width of the figure."""
    layers, roles = grid
    usual = usual_type(types)
    cells = [[(layer, role) for layer in layers] for role in roles]
    return go.Heatmap(
        z=[[scale.place(values[cell]) if cell in values else None for cell in line] for line in cells],
        x=list(layers),
        y=list(roles),
        text=[[_type_text(types.get(cell, ""), usual, across) for cell in line] for line in cells],
        texttemplate="%{text}",
        textfont={"size": 9},
        customdata=[[_cell(row, cell, values.get(cell), types.get(cell)) for cell in line] for line in cells],
        hovertemplate=f"<b>{row['label']}</b><br>{_HOVER}",
        coloraxis="coloraxis",
        xgap=1 if across <= _ROOM_FOR_BITS else 0,
        ygap=1,
    )


def _type_text(kind: str, usual: str | None, across: int) -> str:
    """Write a type that is not the variant's usual one, only its bits or nothing where there is no room."""
    digits = re.search(r"\d+", kind)
    if kind == usual or digits is None or across > _ROOM_FOR_BITS:
        return ""
    return kind if across <= _ROOM_FOR_TYPES else digits[0]


def _cell(row: Row, cell: Cell, value: float | None, kind: str | None) -> list[object]:
    """Return what a click on a cell names (variant, layer, role), then its value and its type in words."""
    known = formats.number(value) if value is not None else "not measured"
    return [row["variant_id"], *cell, known, kind or ""]


def _hatch(grid: tuple[Sequence[int], Sequence[str]], values: Mapping[Cell, float]) -> go.Bar:
    """Hatch the cells without a value: runs of them as bars over the heatmap."""
    layers, roles = grid
    runs: list[tuple[str, int, int]] = []
    for role in roles:
        start: int | None = None
        for layer in [*layers, layers[-1] + 1]:
            missing = layer <= layers[-1] and (layer, role) not in values
            if missing and start is None:
                start = layer
            elif not missing and start is not None:
                runs.append((role, start, layer - start))
                start = None
    return go.Bar(
        y=[role for role, _, _ in runs],
        base=[start - 0.5 for _, start, _ in runs],
        x=[length for _, _, length in runs],
        orientation="h",
        width=0.96,
        marker={
            "color": "rgba(0,0,0,0)",
            "line": {"width": 0},
            "pattern": {"shape": "/", "fgcolor": QUIET, "size": 6, "solidity": 0.25},
        },
        showlegend=False,
        hoverinfo="skip",
    )


def _outlines(
    n_panels: int, roles: Sequence[str], marked: tuple[frozenset[int], frozenset[str]]
) -> list[dict[str, Any]]:
    """Frame the marked cells in every panel."""
    layers, chosen = marked
    if not layers and not chosen:
        return []
    across: list[int | None] = [*sorted(layers)] or [None]
    down: list[str | None] = [role for role in roles if role in chosen] or [None]
    found = []
    for index in range(n_panels):
        panel = "" if index == 0 else str(index + 1)
        for layer in across:
            for role in down:
                shape: dict[str, Any] = {"type": "rect", "line": {"color": MARK, "width": 2}}
                if layer is None:
                    shape |= {"xref": f"x{panel} domain", "x0": 0, "x1": 1}
                else:
                    shape |= {"xref": f"x{panel}", "x0": layer - 0.5, "x1": layer + 0.5}
                if role is None:
                    shape |= {"yref": f"y{panel} domain", "y0": 0, "y1": 1}
                else:
                    place = roles.index(role)
                    shape |= {"yref": f"y{panel}", "y0": place - 0.5, "y1": place + 0.5}
                found.append(shape)
    return found


def _x_axis(drawn: go.Figure, layers: Sequence[int], columns: int = 1) -> None:
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if len(layers) * columns / step <= 18)
    ticks = [layer for layer in layers if layer < 0 or (layer % step == 0 and (step == 1 or layer > 0))]
    names = ["emb" if layer < 0 else str(layer) for layer in ticks]
    drawn.update_xaxes(tickvals=ticks, ticktext=names, tickangle=0, showgrid=False, showline=False, ticks="")
    drawn.update_xaxes(range=[layers[0] - 0.5, layers[-1] + 0.5])


def strips(rows: Sequence[Row], found: pl.DataFrame, title: str) -> go.Figure:
    """Draw whole layers: variants down, fewest bits on top; arguments as for `panels`."""
    rows = sorted(rows, key=lambda row: (row["bits_per_weight"], row["variant_id"]))
    inside = found.filter(pl.col("variant_id").is_in([row["variant_id"] for row in rows]))
    layers = sorted(set(inside["layer"].to_list()))
    scale = Scale.of(inside["value"].to_list())
    drawn = go.Figure()
    of = {(i, layer): value for i, layer, value in inside.select("variant_id", "layer", "value").iter_rows()}
    pairs = [[(row, layer) for layer in layers] for row in rows]
    values = [[of.get((row["variant_id"], layer)) for row, layer in line] for line in pairs]
    drawn.add_heatmap(
        z=[[scale.place(value) if value is not None else None for value in line] for line in values],
        x=layers,
        y=[row["label"] for row in rows],
        customdata=[
            [_cell(row, (layer, WHOLE), of.get((row["variant_id"], layer)), None) for row, layer in line]
            for line in pairs
        ],
        hovertemplate="<b>%{y}</b><br>layer %{x}<br>%{customdata[3]}<extra></extra>",
        coloraxis="coloraxis",
        xgap=1,
        ygap=2,
    )
    _x_axis(drawn, layers)
    drawn.update_xaxes(title_text="layer")
    size = 11 if len(rows) <= _ROOM_FOR_NAMES else 9
    drawn.update_yaxes(
        autorange="reversed", showgrid=False, ticks="", showline=False, dtick=1, tickfont_size=size
    )
    drawn.update_layout(coloraxis=scale.axis(title))
    return drawn
