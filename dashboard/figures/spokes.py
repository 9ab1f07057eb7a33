"""Draw the radar: a closed line per file over axes that tell the files apart, each against the best file drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.figures.drawing import Drawing
from dashboard.figures.scores import Axis, axes
from dashboard.insights.faults import sound
from dashboard.insights.standings import standings
from dashboard.results.results import Results
from dashboard.results.rows import Row, type_name
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.style import formats
from dashboard.style.names import LEGEND, broken, in_figure
from dashboard.style.theme import GAP, MARK, MethodStyle, translucent

#: Fewest axes of a polygon, and most files whose values are written at the axes.
_FEWEST, _FEW = 3, 4
#: Height of a line of text at an axis in pixels; the lowest axis, which only an even number has, needs it below.
_LINE = 16
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_TICKS, _WRITTEN = (25, 50, 75, 100), (50, 100)
#: In a narrow window: longest line of an axis's name in characters; heights of a legend's entry, of a line and of the
#: circle in pixels.
_NARROW_NAME, _NARROW_ENTRY, _NARROW_LINE, _NARROW_CIRCLE = 10, 22, 15, 200


@dataclass(frozen=True)
class Spokes:
    """The axes of one radar.

    Attributes:
        drawn: axes that tell the files apart, and others if there are fewer than three of these.
        level: axes on which all files are level within their errors, and which are left out.
        first: the files that may be the best, best first, by axis.
    """

    drawn: list[Axis]
    level: list[Axis]
    first: Mapping[str, list[Row]]

    @classmethod
    def of(cls, scope: Scope, rows: Sequence[Row]) -> Spokes:
        """Return the axes for `rows`, which are of one model and device."""
        first = standings(scope, sound(scope.results, rows))
        measured = [axis for axis in axes(scope) if any(axis.loss(row) is not None for row in rows)]
        level = [axis for axis in measured if 1 < len(rows) == len(first.get(axis.name, ()))]
        level = level[max(0, _FEWEST - (len(measured) - len(level))) :]
        drawn = [axis for axis in measured if axis not in level]
        return cls(drawn, level, first)

    def leader(self, axis: Axis) -> Row | None:
        """Return the only file that may be the best on an axis."""
        first = self.first.get(axis.name, [])
        return first[0] if len(first) == 1 else None


def place(axis: Axis, row: Row, rows: Sequence[Row]) -> float | None:
    """Return the best of the rows' losses over a row's, from 0 to 1; None if it was not measured."""
    own = axis.loss(row)
    if own is None:
        return None
    best = min(loss for other in rows if (loss := axis.loss(other)) is not None)
    return 1.0 if own <= best else best / own


def radar(scope: Scope, rows: Sequence[Row], spokes: Spokes, written: Sequence[Row]) -> Drawing:
    """Draw the files, rings around those that lead an axis alone, and bars over those level with the best.

    The values of few files stand at the axes: those of `written`.
    """
    drawn = Drawing()
    _add_level(drawn, rows, spokes)
    seen: dict[str, int] = {}
    for row in rows:
        nth = seen[row["method"]] = seen.get(row["method"], -1) + 1
        _add_file(drawn, row, rows, spokes, scope.results.styles[row["method"]], nth, scope.selection)
    _add_leads(drawn, rows, spokes)
    has_lowest = len(spokes.drawn) % 2 == 0 and has_values(written)
    drawn.update_layout(
        polar=_axes(scope.results, written, spokes),
        margin={"t": 150, "b": 64 if not has_lowest else _LINE * (len(written) + 2), "l": 90, "r": 90},
        legend={"x": 0, "xref": "container", "y": 1, "yanchor": "top", "yref": "container"},
        showlegend=True,
    )
    _fit_narrow(drawn, [_values(axis, scope.results, written, spokes, _NARROW_NAME) for axis in spokes.drawn])
    return drawn


def _fit_narrow(drawn: Drawing, texts: Sequence[str]) -> None:
    """Make room in a narrow window for a legend of one entry per line, and for the texts of the axes."""
    listed = sum(trace.get("showlegend") is not False for trace in drawn.data)
    lines = 1 + max((text.count("<br>") for text in texts), default=0)
    above, below = _NARROW_ENTRY * listed + _NARROW_LINE * lines + 20, _NARROW_LINE * lines
    drawn.update_narrow(
        height=above + _NARROW_CIRCLE + below,
        margin={"t": above, "b": below, "l": 84, "r": 84},
        legend={"orientation": "v", "xref": "paper", "font": {"size": 11}},
        polar={"angularaxis": {"ticktext": list(texts), "tickfont": {"size": 11}}},
    )


def _add_file(
    drawn: Drawing,
    row: Row,
    rows: Sequence[Row],
    spokes: Spokes,
    style: MethodStyle,
    nth: int,
    selection: Selection,
) -> None:
    """Draw the line of one file, the `nth` of its method; picked ones are bold and the others faint."""
    known = [(axis, at) for axis in spokes.drawn if (at := place(axis, row, rows)) is not None]
    closed = [*known, known[0]] if known else []
    picking = any(other["variant_id"] in selection.picked for other in rows)
    is_picked = row["variant_id"] in selection.picked
    drawn.add_scatterpolar(
        theta=[axis.name for axis, _ in closed],
        r=[100 * at for _, at in closed],
        name=in_figure(f"{row['method']} {type_name(row)}", LEGEND),
        legendgroup=row["variant_id"],
        meta={"variant_id": row["variant_id"]},
        mode="lines+markers",
        line={"color": style.color, "width": 3.4 if is_picked else 2.2, "dash": _DASHES[nth % len(_DASHES)]},
        marker={"color": style.color, "symbol": style.symbol, "size": 8},
        opacity=0.45 if picking and not is_picked else 1,
        fill="toself" if len(rows) <= 3 else "none",
        fillcolor=translucent(style.color, 0.07),
        customdata=[[row["variant_id"]]] * len(closed),
        hovertext=[_hover(axis, row, at, rows, spokes) for axis, at in closed],
        hoverinfo="text",
    )


def _hover(axis: Axis, row: Row, at: float, rows: Sequence[Row], spokes: Spokes) -> str:
    """Return a file's value on an axis, and what it is measured against."""
    first = spokes.first.get(axis.name, [])
    best = next(other for other in rows if place(axis, other, rows) == 1)
    is_level = len(first) > 1 and any(other["variant_id"] == row["variant_id"] for other in first)
    lines = [
        f"<b>{in_figure(row['label'])}</b>",
        f"{axis.name}{axis.where} {axis.raw(row)}",
        f"{formats.percent(at, 0)} of the best drawn ({in_figure(best['label'])}, {axis.raw(best)})",
    ]
    return "<br>".join([*lines, *["level with the best, within the error"] * is_level])


def _add_level(drawn: Drawing, rows: Sequence[Row], spokes: Spokes) -> None:
    """Draw a bar along each axis over the files that may be its best, where there are several."""
    theta: list[str | None] = []
    r: list[float | None] = []
    for axis in spokes.drawn:
        first = spokes.first.get(axis.name, [])
        at = [100 * one for row in first if (one := place(axis, row, rows)) is not None]
        if len(first) > 1 and at:
            theta += [axis.name, axis.name, None]
            r += [min(at), max(at), None]
    if theta:
        name = "level with the best, within the error"
        drawn.add_scatterpolar(
            theta=theta,
            r=r,
            mode="lines",
            name=name,
            line={"color": GAP, "width": 7},
            hoverinfo="skip",
        )


def _add_leads(drawn: Drawing, rows: Sequence[Row], spokes: Spokes) -> None:
    """Ring the points of files that lead an axis by more than the error."""
    led = [axis.name for axis in spokes.drawn if spokes.leader(axis) is not None]
    if led:
        ring = {"symbol": "circle-open", "size": 17, "color": MARK, "line": {"width": 2.5, "color": MARK}}
        drawn.add_scatterpolar(
            theta=led,
            r=[100.0] * len(led),
            mode="markers",
            name="leads by more than the error",
            marker=ring,
            hoverinfo="skip",
        )


def _axes(results: Results, rows: Sequence[Row], spokes: Spokes) -> dict[str, Any]:
    """Return the polar layout; of few files the values stand at the axes, the only leader's bold."""
    names = [axis.name for axis in spokes.drawn]
    return {
        "radialaxis": {
            "range": [0, 106],
            "tickvals": _TICKS,
            "ticktext": [f"{tick} %" if tick in _WRITTEN else "" for tick in _TICKS],
            "angle": 90 - 180 / max(1, len(names)),
            "tickangle": 0,
            "tickfont": {"size": 10},
        },
        "angularaxis": {
            "direction": "clockwise",
            "rotation": 90,
            "tickfont": {"size": 12},
            "categoryarray": names,
            "tickvals": names,
            "ticktext": [_values(axis, results, rows, spokes) for axis in spokes.drawn],
        },
    }


def has_values(rows: Sequence[Row]) -> bool:
    """Return whether the files are so few that their values stand at the axes; a method's sign means one file."""
    return len({row["method"] for row in rows}) == len(rows) <= _FEW


def _values(axis: Axis, results: Results, rows: Sequence[Row], spokes: Spokes, most: int = 99) -> str:
    """Name an axis in lines of `most` characters, then a line for each of few files: method's sign and value."""
    name = broken(axis.name, most)
    if not has_values(rows):
        return name
    leader = spokes.leader(axis)
    lines = [f"<b>{name}</b>"]
    for row in rows:
        style = results.styles[row["method"]]
        value = axis.raw(row) if axis.loss(row) is not None else "not measured"
        is_leader = leader is not None and leader["variant_id"] == row["variant_id"]
        written = f"<b>{value}</b>" if is_leader else value
        lines.append(f'<span style="color:{style.color}">{style.glyph}</span> {written}')
    return "<br>".join(lines)
