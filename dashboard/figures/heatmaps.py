"""Draw heatmaps of layers: a panel per variant with roles down, or a strip per variant, on one colour scale."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.figures import axes
from dashboard.figures.drawing import Drawing
from dashboard.figures.panels import Panels
from dashboard.insights.layers import WHOLE, Cell, Measure, Values
from dashboard.results.rows import Row
from dashboard.style import formats, names
from dashboard.style.theme import MARK, QUIET
from evaluator.results.schema import ROLES

_WIDE_RANGE = 30
#: Most cells side by side in which a type, or its bits, can be written.
_ROOM_FOR_TYPES, _ROOM_FOR_BITS = 22, 60
_COLUMNS = 3
_MARGIN, _NAME_WIDTH = 82, 7
_ROOM_FOR_NAMES, _LONGEST_TYPE = 16, 12
_HOVER = "layer %{x}, %{y}<br>%{customdata[3]}<br>%{customdata[4]}<extra></extra>"


def panels(
    rows: Sequence[Row],
    values_of: Mapping[str, Values],
    types: Mapping[str, Mapping[Cell, str]],
    measure: Measure,
    marked: tuple[frozenset[int], frozenset[str]],
) -> Drawing:
    """Draw a panel per variant, layers across and roles down.

    Args:
        rows: the variants, at least one.
        values_of: their values, by variant; at least one has some.
        types: tensor type of every layer and role, by variant.
        measure: the measure of the values, which titles the colour scale.
        marked: layers and roles to outline; an empty set means all if the other is not empty.
    """
    drawn = Panels(len(rows), _COLUMNS, gap=(0.02, 0.19))
    drawn.add_titles([_title(row, types[row["variant_id"]]) for row in rows], size=11)
    cells = {cell for values in values_of.values() for cell in values}
    seen, seen_roles = {layer for layer, _ in cells}, {role for _, role in cells}
    layers = list(range(min(seen), max(seen) + 1))
    roles = [role for role in ROLES if role in seen_roles]
    scale = Scale.of([value for values in values_of.values() for value in values.values()])
    for index, row in enumerate(rows):
        values, kinds = values_of[row["variant_id"]], types[row["variant_id"]]
        across = len(layers) * drawn.columns
        heatmap = _panel(row, (layers, roles), values, kinds, scale, across)
        cells_in_words = [
            [_cell(row, (layer, role), values, kinds, measure) for layer in layers] for role in roles
        ]
        drawn.add_heatmap(**heatmap, customdata=cells_in_words, **drawn.place(index))
        drawn.add_bar(**_hatch((layers, roles), values), **drawn.place(index))
        _outline(drawn, index, roles, marked)
    _x_axis(drawn, layers, drawn.columns)
    drawn.update_xaxes(cells=drawn.lowest, title_text="layer")
    drawn.update_yaxes(autorange="reversed", showgrid=False, ticks="", showline=False, dtick=1)
    # Leaves room above the two-line titles for Plotly's tool bar.
    drawn.update_layout(coloraxis=scale.axis(measure.title), margin={"t": 62, "l": _margin(roles), "b": 44})
    return drawn


def _margin(roles: Sequence[str]) -> int:
    """Return the room for the names of roles, in pixels."""
    return max(_MARGIN, _NAME_WIDTH * max(map(len, roles)))


def _title(row: Row, types: Mapping[Cell, str]) -> str:
    name = f"<b>{names.in_figure(row['label'], names.TITLE)}</b><br>{formats.bits(row['bits_per_weight'])}"
    usual = usual_type(types)
    if usual is None:
        return name
    how = "all" if len(set(types.values())) == 1 else "mostly"
    return f"{name}, {how} {names.in_figure(usual, _LONGEST_TYPE)}"


def usual_type(types: Mapping[Cell, str]) -> str | None:
    """Return the most frequent tensor type; None without types."""
    counts = Counter(types.values())
    return min(counts, key=lambda kind: (-counts[kind], kind)) if counts else None


@dataclass(frozen=True)
class Scale:
    """One colour scale for all panels, logarithmic if the values span a wide range."""

    low: float
    high: float
    logarithmic: bool

    @classmethod
    def of(cls, values: Sequence[float]) -> Scale:
        """Span all values but the lowest twentieth; a logarithmic scale covers at most four decades.

        A few very low values, such as an embedding kept at 8 bits, would leave few shades for the others.
        """
        positive = sorted(value for value in values if value > 0)
        if not positive:
            return cls(0.0, max([*values, 1.0]), logarithmic=False)
        low, high = positive[len(positive) // 20], positive[-1]
        if high / low > _WIDE_RANGE:
            return cls(max(low, high / 1e4), high, logarithmic=True)
        return cls(0.0, high, logarithmic=False)

    def place(self, value: float) -> float:
        """Return a value's position on the scale."""
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
    values: Values,
    types: Mapping[Cell, str],
    scale: Scale,
    across: int,
) -> dict[str, Any]:
    """Return the heatmap of one variant; the figure is `across` cells wide."""
    layers, roles = grid
    usual = usual_type(types)
    cells = [[(layer, role) for layer in layers] for role in roles]
    return {
        "z": [[scale.place(values[cell]) if cell in values else None for cell in line] for line in cells],
        "x": list(layers),
        "y": list(roles),
        "text": [[_type_text(types.get(cell, ""), usual, across) for cell in line] for line in cells],
        "texttemplate": "%{text}",
        "textfont": {"size": 9},
        "hovertemplate": f"<b>{names.in_figure(row['label'])}</b><br>{_HOVER}",
        "coloraxis": "coloraxis",
        "xgap": 1 if across <= _ROOM_FOR_BITS else 0,
        "ygap": 1,
    }


def _type_text(kind: str, usual: str | None, across: int) -> str:
    """Write a type that is not the variant's usual one, or as room allows only its bits or nothing."""
    if kind == usual or across > _ROOM_FOR_BITS or (digits := re.search(r"\d+", kind)) is None:
        return ""
    return names.in_figure(kind, _LONGEST_TYPE) if across <= _ROOM_FOR_TYPES else digits[0]


def _cell(row: Row, cell: Cell, values: Values, types: Mapping[Cell, str], measure: Measure) -> list[object]:
    """Return what a click on a cell selects (variant, layer, role), then its value and type in words."""
    known = measure.worded(values[cell]) if cell in values else f"{measure.name} not measured"
    return [row["variant_id"], *cell, known, names.in_figure(types.get(cell, ""))]


def _hatch(grid: tuple[Sequence[int], Sequence[str]], values: Values) -> dict[str, Any]:
    """Return hatched bars over the runs of cells without a value."""
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
    return {
        "y": [role for role, _, _ in runs],
        "base": [start - 0.5 for _, start, _ in runs],
        "x": [length for _, _, length in runs],
        "orientation": "h",
        "width": 0.96,
        "marker": {
            "color": "rgba(0,0,0,0)",
            "line": {"width": 0},
            "pattern": {"shape": "/", "fgcolor": QUIET, "size": 6, "solidity": 0.25},
        },
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _outline(
    drawn: Panels, index: int, roles: Sequence[str], marked: tuple[frozenset[int], frozenset[str]]
) -> None:
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


def _x_axis(drawn: Drawing, layers: Sequence[int], columns: int = 1) -> None:
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if len(layers) * columns / step <= 18)
    ticks = [layer for layer in layers if layer < 0 or (layer % step == 0 and (step == 1 or layer > 0))]
    texts = ["emb" if layer < 0 else str(layer) for layer in ticks]
    drawn.update_xaxes(tickvals=ticks, ticktext=texts, tickangle=0, showgrid=False, showline=False, ticks="")
    drawn.update_xaxes(range=[layers[0] - 0.5, layers[-1] + 0.5])


def strips(
    rows: Sequence[Row],
    values_of: Mapping[str, Values],
    measure: Measure,
    marked: tuple[frozenset[int], frozenset[str]],
) -> Drawing:
    """Draw whole layers: variants down, fewest bits on top; arguments as for `panels`."""
    rows = sorted(rows, key=lambda row: (row["bits_per_weight"], row["variant_id"]))
    layers = sorted({layer for values in values_of.values() for layer, _ in values})
    scale = Scale.of([value for values in values_of.values() for value in values.values()])
    drawn = Drawing()
    cells = [(layer, WHOLE) for layer in layers]
    lines = [(row, values_of[row["variant_id"]]) for row in rows]
    drawn.add_heatmap(
        z=[[scale.place(values[c]) if c in values else None for c in cells] for _, values in lines],
        x=layers,
        y=[names.in_figure(row["label"]) for row in rows],
        customdata=[[_cell(row, cell, values, {}, measure) for cell in cells] for row, values in lines],
        hovertemplate="<b>%{text}</b><br>layer %{x}<br>%{customdata[3]}<extra></extra>",
        text=[[names.in_figure(row["label"])] * len(cells) for row in rows],
        coloraxis="coloraxis",
        xgap=1,
        ygap=2,
    )
    for layer in marked[0].intersection(layers) if not marked[1] - {WHOLE} else ():
        across = {"xref": "x", "x0": layer - 0.5, "x1": layer + 0.5}
        drawn.add_shape(type="rect", yref="y domain", y0=0, y1=1, line={"color": MARK, "width": 2}, **across)
    _x_axis(drawn, layers)
    drawn.update_xaxes(title_text="layer")
    size = 11 if len(rows) <= _ROOM_FOR_NAMES else 9
    drawn.update_yaxes(
        autorange="reversed",
        showgrid=False,
        ticks="",
        showline=False,
        tickfont_size=size,
        tickvals=[names.in_figure(row["label"]) for row in rows],
        ticktext=[names.in_figure(row["label"], names.TITLE) for row in rows],
    )
    drawn.update_layout(coloraxis=scale.axis(measure.title))
    return drawn
