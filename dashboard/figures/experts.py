"""Draw the experts of one role: a panel per variant, layers across, every layer's experts from the worst down."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean
from typing import Any

from dashboard.figures.colour_scale import LYING
from dashboard.figures.drawing import Drawing
from dashboard.figures.heatmaps import x_axis
from dashboard.figures.panels import Panels
from dashboard.insights.experts import worst_of
from dashboard.insights.layers import Cell, Errors, Shown, framed
from dashboard.results.rows import Row
from dashboard.style import formats, names
from dashboard.style.theme import MARK

_COLUMNS = 3
#: Most experts of a layer, and most layers side by side, whose numbers are written into their cells.
_ROOM_DOWN, _ROOM_ACROSS = 16, 40
_STEPS = (1, 2, 5, 10, 20, 50, 100, 200)
_MOST_TICKS = 9
#: Height of a panel in a narrow window, in pixels.
_NARROW = 240
#: Ends of the colour scale that smaller spreads share, so that chance differences stay pale.
_LOW, _HIGH = 0.9, 1.1
#: An expert's number, its error, and the error over the mean of its layer's experts.
_Ranked = tuple[int, float | None, float | None]


def panels(shown: Shown, role: str, layers: Collection[int]) -> Drawing:
    """Draw the weight errors of a role's experts; a cell stands for an expert, which its hover text names.

    Args:
        shown: the variants; at least one has experts of the role.
        role: the role.
        layers: layers to outline; their worst expert is marked, or without such layers the worst of all.
    """
    experts_of = {name: framed(part.experts, (), {role}) for name, part in shown.parts.items()}
    rows = [row for row in shown.rows if experts_of[row["variant_id"]]]
    there = {layer for experts in experts_of.values() for layer, _ in experts}
    across = list(range(min(there), max(there) + 1))
    most = max(len(errors) for experts in experts_of.values() for errors in experts.values())
    drawn = Panels(len(rows), _COLUMNS, gap=(0.02, 0.19))
    marked = [framed(experts_of[row["variant_id"]], layers, {role}) for row in rows]
    drawn.add_titles(
        [_title(row, experts, layers) for row, experts in zip(rows, marked, strict=True)], size=11
    )
    written = most <= _ROOM_DOWN and len(across) * drawn.columns <= _ROOM_ACROSS
    columns_of = [
        [_ordered(experts_of[row["variant_id"]].get((layer, role), ())) for layer in across] for row in rows
    ]
    for index, (row, columns) in enumerate(zip(rows, columns_of, strict=True)):
        meta = {"variant_id": row["variant_id"], "role": role}
        drawn.add_heatmap(**_heatmap(row, across, columns, most, written), meta=meta, **drawn.place(index))
        drawn.add_scatter(**_marker(marked[index], layers, 13 if written else 8), **drawn.place(index))
        for layer in layers:
            drawn.add_shape(**_outline(drawn.place(index), layer))
    x_axis(drawn, across, drawn.columns)
    drawn.update_xaxes(cells=drawn.lowest, title_text="layer")
    step = next((step for step in _STEPS if most / step <= _MOST_TICKS), most)
    drawn.update_yaxes(
        range=[most + 0.5, 0.5],
        tickvals=[1, *(tick for tick in range(step, most + 1, step) if tick > 1 + step / 2)],
        showgrid=False,
        ticks="",
        showline=False,
    )
    drawn.update_yaxes(cells=drawn.first_column, title_text="experts, worst on top")
    drawn.update_layout(coloraxis=_scale(columns_of), margin={"t": 62, "l": 70, "b": 44})
    drawn.stack(_NARROW, (96, 44))
    drawn.update_narrow(coloraxis=LYING, margin={"l": 50, "r": 12})
    return drawn


def _ordered(errors: Errors) -> list[_Ranked]:
    """Return a layer's experts from the worst down; those without an error come last."""
    known = [error for error in errors if error is not None]
    mean = fmean(known) if known else 0.0
    ranked = sorted(enumerate(errors), key=lambda item: -1.0 if item[1] is None else item[1], reverse=True)
    return [(number, error, error if error is None else _ratio(error, mean)) for number, error in ranked]


def _ratio(error: float, mean: float) -> float:
    """Return the error over the mean of the layer's experts; 1 if all are 0."""
    return error / mean if mean > 0 else 1.0


def _title(row: Row, marked: Mapping[Cell, Errors], layers: Collection[int]) -> str:
    """Name the variant and its marked expert: by its error in a framed layer, else by its layer."""
    name = f"<b>{names.in_figure(row['label'], names.TITLE)}</b>"
    worst = worst_of(marked)
    if worst is None:
        return f"{name}<br>no finite error here"
    where = f"({formats.number(worst.error)})" if len(layers) == 1 else f"in layer {worst.cell[0]}"
    return f"{name}<br>worst: {worst.number} {where}"


def _heatmap(
    row: Row,
    across: Sequence[int],
    columns: Sequence[Sequence[_Ranked]],
    most: int,
    written: bool,
) -> dict[str, Any]:
    ranks = range(most)

    def lines(part: int) -> list[list[Any]]:
        return [[column[rank][part] if rank < len(column) else None for column in columns] for rank in ranks]

    def rounded(part: int) -> list[list[float | None]]:
        return [[None if value is None else float(f"{value:.4g}") for value in line] for line in lines(part)]

    return {
        "z": rounded(2),
        "customdata": rounded(1),
        "x": list(across),
        "y": [rank + 1 for rank in ranks],
        "text": lines(0),
        "texttemplate": "%{text}" if written else "",
        "textfont": {"size": 9},
        "hovertemplate": f"<b>{names.in_figure(row['label'])}</b><br>layer %{{x}}, expert %{{text}}"
        "<br>relative weight error %{customdata:.3g}, %{z:.3g} × the mean of its layer's experts"
        f"<br>number %{{y}} of {most} from the worst<extra></extra>",
        "hoverongaps": False,
        "coloraxis": "coloraxis",
        "xgap": 1 if written else 0,
        "ygap": 1 if written else 0,
    }


def _marker(marked: Mapping[Cell, Errors], layers: Collection[int], size: int) -> dict[str, Any]:
    """Return rings of `size` pixels around the worst expert of each outlined layer, or around the worst of all."""
    worst = worst_of(marked)
    chosen = sorted({layer for layer, _ in marked}) if layers else [worst.cell[0]] if worst else []
    ring = {"symbol": "circle-open", "size": size, "color": MARK, "line": {"width": 2}}
    return {
        "x": chosen,
        "y": [1] * len(chosen),
        "mode": "markers",
        "cliponaxis": False,
        "marker": ring,
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _outline(place: Mapping[str, str], layer: int) -> dict[str, Any]:
    return {
        "type": "rect",
        "xref": place["xaxis"],
        "yref": f"{place['yaxis']} domain",
        "x0": layer - 0.5,
        "x1": layer + 0.5,
        "y0": 0,
        "y1": 1,
        "line": {"color": MARK, "width": 2},
    }


def _scale(columns_of: Sequence[Sequence[Sequence[_Ranked]]]) -> dict[str, Any]:
    """Return the colour axis: errors over the mean of the layer's experts, which compares layers of any type."""
    ranked = (expert for columns in columns_of for column in columns for expert in column)
    ratios = [ratio for _, _, ratio in ranked if ratio is not None]
    title = {"text": "error / mean of the layer's experts", "side": "right"}
    return {
        "cmin": min([*ratios, _LOW]),
        "cmax": max([*ratios, _HIGH]),
        "colorbar": {"title": title, "thickness": 12, "len": 0.9},
    }
