"""Draw heatmaps of layers: a panel per variant with roles down, or a strip per variant, on one colour scale."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dashboard.figures import axes
from dashboard.figures.drawing import Drawing
from dashboard.figures.panels import Panels
from dashboard.figures.picked import frame_rows, tick
from dashboard.insights.experts import worst_in
from dashboard.insights.layers import WHOLE, Cell, Measure, Parts, Shown, usual_type
from dashboard.results.rows import Row
from dashboard.style import formats, names, roles
from dashboard.style.theme import MARK, QUIET
from evaluator.results.schema import ROLES

_WIDE_RANGE = 30
#: Most cells side by side in which a type, or its bits, can be written.
_ROOM_FOR_TYPES, _ROOM_FOR_BITS = 16, 60
_COLUMNS = 3
_MARGIN, _NAME_WIDTH = 82, 7
_ROOM_FOR_NAMES, _LONGEST_TYPE = 16, 12
_HOVER = "layer %{x}, %{y}<br>%{customdata[3]}<br>%{customdata[4]}<extra></extra>"
#: Layers and roles to outline; an empty set means all if the other is not empty.
Marked = tuple[frozenset[int], frozenset[str]]
#: Layers across and roles down.
Grid = tuple[Sequence[int], Sequence[str]]


def panels(shown: Shown, marked: Marked, picked: Collection[str] = ()) -> Drawing:
    """Draw a panel per variant, layers across and roles down; at least one variant has a value.

    The titles of `picked` variants, by id, say so.
    """
    rows = shown.rows
    drawn = Panels(len(rows), _COLUMNS, gap=(0.02, 0.19))
    titles = [_title(row, shown.parts[row["variant_id"]].types, picked) for row in rows]
    drawn.add_titles(titles, size=11)
    cells = {cell for values in shown.values_of.values() for cell in values}
    seen, seen_roles = {layer for layer, _ in cells}, {role for _, role in cells}
    layers = list(range(min(seen), max(seen) + 1))
    roles = [role for role in ROLES if role in seen_roles]
    scale = Scale.of(_scaled(shown), shown.measure)
    for index, row in enumerate(rows):
        part = shown.parts[row["variant_id"]]
        heatmap = _panel(row, (layers, roles), part, scale, len(layers) * drawn.columns)
        cells_in_words = [
            [_cell(row, (layer, role), part, shown.measure) for layer in layers] for role in roles
        ]
        drawn.add_heatmap(**heatmap, customdata=cells_in_words, **drawn.place(index))
        _add_gaps(drawn, (layers, roles), part, drawn.place(index))
        _outline(drawn, index, roles, marked)
    x_axis(drawn, layers, drawn.columns)
    drawn.update_xaxes(cells=drawn.lowest, title_text="layer")
    down = [len(roles) - 0.5, -0.5]
    drawn.update_yaxes(range=down, showgrid=False, ticks="", showline=False, dtick=1)
    # Leaves room above the two-line titles for Plotly's tool bar.
    drawn.update_layout(coloraxis=scale.axis(), margin={"t": 62, "l": _margin(roles), "b": 44})
    return drawn


def _scaled(shown: Shown) -> list[float]:
    """Return all values as the colour scale shows them."""
    return [shown.measure.scale * value for values in shown.values_of.values() for value in values.values()]


def _margin(roles: Sequence[str]) -> int:
    """Return the room for the names of roles, in pixels."""
    return max(_MARGIN, _NAME_WIDTH * max(map(len, roles)))


def _title(row: Row, types: Mapping[Cell, str], picked: Collection[str]) -> str:
    name = f"<b>{names.in_figure(row['label'], names.TITLE)}</b><br>{formats.bits(row['bits_per_weight'])}"
    usual, mark = usual_type(types), " · picked" if row["variant_id"] in picked else ""
    if usual is None:
        return f"{name}{mark}"
    how = "all" if len(set(types.values())) == 1 else "mostly"
    return f"{name}, {how} {names.in_figure(usual, _LONGEST_TYPE)}{mark}"


@dataclass(frozen=True)
class Scale:
    """One colour scale for all panels, logarithmic if the values span a wide range."""

    low: float
    high: float
    logarithmic: bool
    measure: Measure

    @classmethod
    def of(cls, values: Sequence[float], measure: Measure) -> Scale:
        """Span all values but the lowest twentieth; a logarithmic scale covers at most four decades.

        A few very low values, such as an embedding kept at 8 bits, would leave few shades for the others.
        """
        positive = sorted(value for value in values if value > 0)
        if not positive:
            return cls(0.0, max([*values, 1.0]), logarithmic=False, measure=measure)
        low, high = positive[len(positive) // 20], positive[-1]
        if high / low > _WIDE_RANGE:
            return cls(max(low, high / 1e4), high, logarithmic=True, measure=measure)
        return cls(0.0, high, logarithmic=False, measure=measure)

    def place(self, value: float) -> float:
        """Return a value's position on the scale."""
        return round(math.log10(max(value, self.low)), 4) if self.logarithmic else float(f"{value:.5g}")

    def at(self, cell: Cell, part: Parts) -> float | None:
        """Return the position of a cell's value; None without one."""
        return self.place(self.measure.scale * part.values[cell]) if cell in part.values else None

    def axis(self) -> dict[str, object]:
        """Return Plotly's colour axis."""
        title = {"text": self.measure.title, "side": "right"}
        bar: dict[str, object] = {"title": title, "thickness": 12, "len": 0.9}
        if self.logarithmic:
            ticks = axes.decades(self.low, self.high)
            bar |= {
                "tickvals": [math.log10(tick) for tick in ticks],
                "ticktext": [f"{t:.12g}" for t in ticks],
            }
        return {"cmin": self.place(self.low), "cmax": self.place(self.high), "colorbar": bar}


def _panel(
    row: Row,
    grid: Grid,
    part: Parts,
    scale: Scale,
    across: int,
) -> dict[str, Any]:
    """Return the heatmap of one variant; the figure is `across` cells wide."""
    layers, roles = grid
    usual = usual_type(part.types)
    cells = [[(layer, role) for layer in layers] for role in roles]
    return {
        "z": [[scale.at(cell, part) for cell in line] for line in cells],
        "x": list(layers),
        "y": list(roles),
        "text": [[_type_text(part.types.get(cell, ""), usual, across) for cell in line] for line in cells],
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


def _cell(row: Row, cell: Cell, part: Parts, measure: Measure) -> list[object]:
    """Return what a click on a cell selects (variant, layer, role), then its value and its matrix in words."""
    layer, role = cell
    if cell in part.values:
        known = measure.worded(part.values[cell])
    elif cell in part.places and not measure.of_routing:
        known = f"{measure.name} not measured"
    else:
        known = "no experts in this layer" if measure.of_routing else "this layer has no such part"
    if cell in part.experts:
        known += f"<br>{_experts(cell, part)}"
    kind = names.in_figure(part.types.get(cell, ""))
    return [row["variant_id"], layer, role, known, ", ".join(filter(None, [roles.in_words(role), kind]))]


def _experts(cell: Cell, part: Parts) -> str:
    """Describe the experts of a cell: their number, their mean error and the worst."""
    errors = part.experts[cell]
    worst = worst_in(cell, errors)
    if worst is None:
        return f"all {len(errors)} experts together"
    mean, most = formats.number(worst.mean), formats.number(worst.error)
    return f"all {len(errors)} experts together<br>weight errors: mean {mean}, worst {most} (expert {worst.number})"


def _add_gaps(drawn: Drawing, grid: Grid, part: Parts, place: Mapping[str, str], name: str = "") -> None:
    """Add hatched bars over the runs of cells without a value, and lines through those without a matrix.

    `name` is the row's name on the axis, by default the role.
    """
    layers, roles = grid
    runs: dict[bool, list[tuple[str, int, int]]] = {True: [], False: []}
    for role in roles:
        for layer in layers:
            cell = (layer, role)
            if cell in part.values:
                continue
            same = runs[cell in part.places]
            if same and same[-1][0] == role and same[-1][2] == layer - 1:
                same[-1] = (role, same[-1][1], layer)
            else:
                same.append((role, layer, layer))
    hatched, lined = runs[True], runs[False]
    pattern = {"shape": "/", "fgcolor": QUIET, "size": 6, "solidity": 0.25}
    quiet: dict[str, Any] = {"showlegend": False, "hoverinfo": "skip", **place}
    if hatched:
        drawn.add_bar(
            y=[name or role for role, _, _ in hatched],
            base=[first - 0.5 for _, first, _ in hatched],
            x=[last + 1 - first for _, first, last in hatched],
            orientation="h",
            width=0.96,
            marker={"color": "rgba(0,0,0,0)", "line": {"width": 0}, "pattern": pattern},
            **quiet,
        )
    if lined:
        drawn.add_scatter(
            x=[x for _, first, last in lined for x in (first - 0.25, last + 0.25, None)],
            y=[y for role, _, _ in lined for y in (name or role, name or role, None)],
            mode="lines",
            line={"color": QUIET, "width": 1.5},
            **quiet,
        )


def _outline(drawn: Panels, index: int, roles: Sequence[str], marked: Marked) -> None:
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


def x_axis(drawn: Drawing, layers: Sequence[int], columns: int = 1) -> None:
    """Label the layers below the lowest panels as densely as there is room."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if len(layers) * columns / step <= 18)
    ticks = [layer for layer in layers if layer < 0 or (layer % step == 0 and (step == 1 or layer > 0))]
    texts = ["emb" if layer < 0 else str(layer) for layer in ticks]
    drawn.update_xaxes(tickvals=ticks, ticktext=texts, tickangle=0, showgrid=False, showline=False, ticks="")
    drawn.update_xaxes(range=[layers[0] - 0.5, layers[-1] + 0.5])


def strips(shown: Shown, marked: Marked, picked: Collection[str] = ()) -> Drawing:
    """Draw whole layers: variants down, fewest bits on top, those of `picked` framed."""
    rows = sorted(shown.rows, key=lambda row: (row["bits_per_weight"], row["variant_id"]))
    lines = [(row, shown.parts[row["variant_id"]]) for row in rows]
    there = {layer for _, part in lines for layer, role in part.places if role == WHOLE}
    layers = list(range(min(there), max(there) + 1))
    scale = Scale.of(_scaled(shown), shown.measure)
    labels = [names.in_figure(row["label"]) for row in rows]
    drawn = Drawing()
    cells = [(layer, WHOLE) for layer in layers]
    drawn.add_heatmap(
        z=[[scale.at(cell, part) for cell in cells] for _, part in lines],
        x=layers,
        y=labels,
        customdata=[[_cell(row, cell, part, shown.measure) for cell in cells] for row, part in lines],
        hovertemplate="<b>%{text}</b><br>layer %{x}<br>%{customdata[3]}<extra></extra>",
        text=[[label] * len(cells) for label in labels],
        coloraxis="coloraxis",
        xgap=1,
        ygap=2,
    )
    for label, (_, part) in zip(labels, lines, strict=True):
        own = part if not shown.measure.of_routing else replace(part, places=frozenset())
        _add_gaps(drawn, (layers, [WHOLE]), own, {}, label)
    for layer in marked[0].intersection(layers) if not marked[1] - {WHOLE} else ():
        across = {"xref": "x", "x0": layer - 0.5, "x1": layer + 0.5}
        drawn.add_shape(type="rect", yref="y domain", y0=0, y1=1, line={"color": MARK, "width": 2}, **across)
    chosen = [place for place, row in enumerate(rows) if row["variant_id"] in picked]
    frame_rows(drawn, chosen, {"xref": "x domain", "x0": 0, "x1": 1})
    x_axis(drawn, layers)
    drawn.update_xaxes(title_text="layer")
    size = 11 if len(rows) <= _ROOM_FOR_NAMES else 9
    drawn.update_yaxes(
        range=[len(rows) - 0.5, -0.5],
        showgrid=False,
        ticks="",
        showline=False,
        tickfont_size=size,
        tickvals=labels,
        ticktext=[tick(row, picked) for row in rows],
    )
    drawn.update_layout(coloraxis=scale.axis())
    return drawn
