"""Draw heatmaps of layers: a panel per variant with roles down, or a strip per variant, on one colour scale."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dashboard.figures.cell_marks import (
    NOTHING_TOLD,
    Grid,
    Marked,
    Told,
    around,
    explain,
    outline,
    separate,
    write_value,
)
from dashboard.figures.colour_scale import LYING, Scale
from dashboard.figures.drawing import Drawing
from dashboard.figures.panels import Panels
from dashboard.figures.picked import frame_rows, tick
from dashboard.insights.experts import worst_in
from dashboard.insights.layer_measures import Measure
from dashboard.insights.layers import WHOLE, Cell, Parts, Shown, usual_type
from dashboard.results.rows import Row
from dashboard.style import formats, names, roles
from dashboard.style.theme import GAP, MARK

#: Most cells side by side in which a type, or its bits, can be written.
_ROOM_FOR_TYPES, _ROOM_FOR_BITS = 16, 60
#: Most panels side by side; four are two by two.
_COLUMNS, _SQUARE = 3, 4
_MARGIN, _NAME_WIDTH = 82, 6
_ROOM_FOR_NAMES, _LONGEST_TYPE = 16, 12
#: Height of a row of cells in a narrow window, in pixels.
_NARROW_ROW = 17
_HOVER = "layer %{x}, %{y}<br>%{customdata[3]}<br>%{customdata[4]}<extra></extra>"


def panels(
    shown: Shown,
    marked: Marked,
    picked: Collection[str] = (),
    told: Told = NOTHING_TOLD,
    recommended: str = "",
) -> Drawing:
    """Draw a panel per variant, layers across and roles down; at least one variant has a value.

    Panels of `picked` variants, by id, are framed and their titles say so, as does that of the `recommended` one.
    The cells of `told` are outlined and labelled.
    """
    rows = shown.rows
    drawn = Panels(len(rows), 2 if len(rows) == _SQUARE else _COLUMNS, gap=(0.02, 0.19))
    notes = [_notes(row, picked, recommended) for row in rows]
    titles = [
        _title(row, shown.parts[row["variant_id"]].types, note) for row, note in zip(rows, notes, strict=True)
    ]
    drawn.add_titles(titles, size=11)
    cells = {cell for values in shown.values_of.values() for cell in values}
    seen, seen_roles = {layer for layer, _ in cells}, {role for _, role in cells}
    layers = list(range(min(seen), max(seen) + 1))
    groups = roles.grouped(seen_roles)
    names_down = [role for group in groups for role in group]
    scale = Scale.of(_scaled(shown), shown.measure)
    for index, row in enumerate(rows):
        part = shown.parts[row["variant_id"]]
        heatmap = _panel(row, (layers, names_down), part, scale, len(layers) * drawn.columns)
        cells_in_words = [
            [_cell(row, (layer, role), part, shown.measure) for layer in layers] for role in names_down
        ]
        drawn.add_heatmap(**heatmap, customdata=cells_in_words, **drawn.place(index))
        _add_gaps(drawn, (layers, names_down), part, drawn.place(index))
        separate(drawn, index, groups)
        outline(drawn, index, names_down, marked)
        if row["variant_id"] in picked:
            drawn.add_shape(**around(drawn.place(index)))
        if row["variant_id"] in told:
            (layer, role), value = told[row["variant_id"]]
            write_value(drawn, value, (layer, names_down.index(role)), layers, **drawn.place(index))
    x_axis(drawn, layers, drawn.columns)
    drawn.update_xaxes(cells=drawn.lowest, title_text="layer")
    drawn.update_yaxes(range=[len(names_down) - 0.5, -0.5], showgrid=False, ticks="", showline=False)
    drawn.update_yaxes(tickvals=names_down, ticktext=[roles.named(role) for role in names_down])
    explain(drawn, grid=(layers, names_down), parts=[shown.parts[row["variant_id"]] for row in rows])
    # Leaves room above the two-line titles for Plotly's tool bar.
    drawn.update_layout(coloraxis=scale.axis(), margin={"t": 62, "l": _margin(names_down), "b": 64})
    drawn.stack(_NARROW_ROW * len(names_down), (96, 64))
    drawn.update_yaxes(narrow=True, ticktext=[roles.in_words(role) for role in names_down])
    drawn.update_narrow(coloraxis=LYING, margin={"l": 40, "r": 12})
    return drawn


def _scaled(shown: Shown) -> list[float]:
    """Return all values as the colour scale shows them, those of files that are not drawn too."""
    drawn = (value for values in shown.values_of.values() for value in values.values())
    return [shown.measure.scale * value for value in (shown.among or drawn)]


def _margin(down: Sequence[str]) -> int:
    """Return the room for the names of roles, in pixels."""
    return max(_MARGIN, _NAME_WIDTH * max(len(roles.named(role)) for role in down))


def _notes(row: Row, picked: Collection[str], recommended: str) -> str:
    """Return what sets a variant apart, for its title."""
    notes = (
        " · recommended" * (row["variant_id"] == recommended),
        " · picked" * (row["variant_id"] in picked),
    )
    return "".join(notes)


def _title(row: Row, types: Mapping[Cell, str], mark: str) -> str:
    name = f"<b>{names.in_figure(row['label'], names.TITLE)}</b><br>{formats.bits(row['bits_per_weight'])}"
    usual = usual_type(types)
    if usual is None:
        return f"{name}{mark}"
    how = "all" if len(set(types.values())) == 1 else "mostly"
    return f"{name}, {how} {names.in_figure(usual, _LONGEST_TYPE)}{mark}"


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
    pattern = {"shape": "/", "fgcolor": GAP, "size": 6, "solidity": 0.25}
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
            line={"color": GAP, "width": 1},
            **quiet,
        )


def x_axis(drawn: Drawing, layers: Sequence[int], columns: int = 1) -> None:
    """Label the layers below the lowest panels as densely as there is room."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if len(layers) * columns / step <= 18)
    ticks = [layer for layer in layers if layer < 0 or (layer % step == 0 and (step == 1 or layer > 0))]
    texts = ["emb" if layer < 0 else str(layer) for layer in ticks]
    drawn.update_xaxes(tickvals=ticks, ticktext=texts, tickangle=0, showgrid=False, showline=False, ticks="")
    drawn.update_xaxes(range=[layers[0] - 0.5, layers[-1] + 0.5])


def strips(shown: Shown, marked: Marked, picked: Collection[str] = (), told: Told = NOTHING_TOLD) -> Drawing:
    """Draw whole layers: variants down, fewest bits on top, `picked` ones framed, the cells of `told` labelled."""
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
    for place, row in enumerate(rows):
        if row["variant_id"] in told:
            (layer, _), value = told[row["variant_id"]]
            write_value(drawn, value, (layer, place), layers)
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
    drawn.update_narrow(coloraxis=LYING, margin={"t": 60, "l": 40, "r": 12})
    return drawn
