"""What a PowerPoint chart shows besides its series: the figure's limits as lines, and names at points."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from pptx.enum.chart import XL_LABEL_POSITION, XL_MARKER_STYLE
from pptx.enum.dml import MSO_LINE
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls, qn
from pptx.util import Pt

from dashboard.export.native_axes import Scale, rgb
from dashboard.figures.labels import Box, overlap
from dashboard.figures.point_labels import LABEL
from dashboard.style.theme import BASELINE, Surface, readable

_TAG = re.compile(r"<[^>]*>")
#: Share by which the place of a note may differ from that of its line.
_SAME_PLACE = 1e-6
#: Where the name of a limit may be, as shares of the chart's width, and of its height if the line goes up.
_NAME_ACROSS, _NAME_UP = (0.88, 0.12, 0.75, 0.25, 0.62, 0.38, 0.5), 0.06
#: Half the width of a name and its height, which PowerPoint breaks into lines, as shares of the chart.
_HALF, _TALL = 0.11, 0.17
#: Width of a character and height of a line of a point's name, and half the width and height of a marker.
_CHARACTER, _TEXT, _MARK = 0.0075, 0.045, (0.006, 0.014)


@dataclass(frozen=True)
class Name:
    """A text at a point, on which side of it, and the colour of its method if it is a file's."""

    text: str
    side: Any
    color: str | None = None


@dataclass(frozen=True)
class Limit:
    """A line across the chart with its name: its two ends, and between them where its name is."""

    name: str
    x: tuple[float, float, float]
    y: tuple[float, float, float]


def limits(
    figure: go.Figure, across: Scale | None, up: Scale | None, points: Sequence[tuple[float, float]]
) -> list[Limit]:
    """Return the lines of a figure, and the upper edges of its bands, that have a note and lie on the axes.

    A name above a line is where it covers the fewest of `points`.
    """
    if across is None or up is None:
        return []
    found = []
    is_reversed = figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]
    for shape in figure.layout.shapes:
        level = float(shape.y1) if shape.xref == "x domain" and not _is_at_end(figure, shape) else None
        at = float(shape.x1) if shape.yref in {"y domain", "paper"} and shape.type == "line" else None
        if level is not None and up.holds(level) and (name := _note(figure, level, "y")):
            told = name if shape.type == "line" else f"{name} (up to {level:.2g})"
            found.append(
                Limit(
                    told,
                    across.ends_and(_free(level, across, up, points, is_reversed=is_reversed)),
                    (level,) * 3,
                )
            )
        elif at is not None and level is None and across.holds(at) and (name := _note(figure, at, "x")):
            found.append(Limit(name, (at,) * 3, up.ends_and(_NAME_UP)))
    return found


def _free(
    level: float, across: Scale, up: Scale, points: Sequence[tuple[float, float]], *, is_reversed: bool
) -> float:
    """Return the share of the width at which a name above a level covers the fewest points."""
    sign = -1 if is_reversed else 1
    above = [(across.share(x), sign * (up.share(y) - up.share(level))) for x, y in points]
    return min(
        _NAME_ACROSS,
        key=lambda share: sum(abs(x - share) < _HALF and -_TALL / 4 < y < _TALL for x, y in above),
    )


def draw_limit(series: Any, limit: Limit, surface: Surface) -> None:
    """Make a series a dashed line with its name above it, or right of it."""
    series.format.line.color.rgb = rgb(BASELINE.color)
    series.format.line.width, series.format.line.dash_style = Pt(1.5), MSO_LINE.DASH
    series.smooth = False
    series.marker.style = XL_MARKER_STYLE.NONE
    side = XL_LABEL_POSITION.RIGHT if limit.x[0] == limit.x[1] else XL_LABEL_POSITION.ABOVE
    write_names(series, {1: Name(limit.name, side)}, surface)


def leave_out_of_legend(legend: Any, indices: Sequence[int]) -> None:
    """Remove series from a legend, which python-pptx has no API for; the schema requires it after the position."""
    for index in reversed(indices):
        entry = f'<c:legendEntry {nsdecls("c")}><c:idx val="{index}"/><c:delete val="1"/></c:legendEntry>'
        legend._element.find(qn("c:legendPos")).addnext(parse_xml(entry))


def _is_at_end(figure: go.Figure, band: Any) -> bool:
    """Return whether a band's upper edge is the end of the figure's axis, and no limit."""
    axis = figure.layout.yaxis
    ends = [10**end if axis.type == "log" else end for end in axis.range or ()]
    return any(math.isclose(band.y1, end, rel_tol=_SAME_PLACE) for end in ends)


def _note(figure: go.Figure, value: float, direction: str) -> str:
    """Return the text of the note at a value; notes on log axes are placed in decades."""
    is_log = figure.layout[f"{direction}axis"].type == "log"
    place = math.log10(value) if is_log else value
    reference = {"x": "xref", "y": "yref"}[direction]
    for note in figure.layout.annotations:
        on_axis = note[reference] in {None, direction} and isinstance(note[direction], int | float)
        if on_axis and math.isclose(note[direction], place, rel_tol=_SAME_PLACE, abs_tol=_SAME_PLACE):
            return plain(note.text)
    return ""


def plain(text: str) -> str:
    """Return a figure's text without markup."""
    return html.unescape(_TAG.sub("", text)).strip()


def point_names(
    figure: go.Figure, entries: Sequence[tuple[Any, Sequence[int]]], across: Scale | None, up: Scale | None
) -> list[dict[int, Name]]:
    """Return the labels of each trace's drawn points by place in the series, the most important first.

    PowerPoint draws no line from a label to its point: one that would cover a point or another label on all sides of
    its own is left out, unless it is bold, as those of the title's files are.
    """
    found: list[dict[int, Name]] = [{} for _ in entries]
    if across is None or up is None:
        return found
    points = {
        (nth, place): (across.share(float(trace.x[index])), up.share(float(trace.y[index])))
        for nth, (trace, drawn) in enumerate(entries)
        for place, index in enumerate(drawn)
    }
    taken = [(x - _MARK[0], y - _MARK[1], x + _MARK[0], y + _MARK[1]) for x, y in points.values()]
    for note in figure.layout.annotations:
        at = _labelled(figure, note, entries) if note.name == LABEL else None
        if at is None:
            continue
        text = plain(note.text)
        boxes = _boxes(*points[at], _CHARACTER * len(text))
        right, up_by = (note.ax, -note.ay) if note.showarrow else (note.xshift or 0, note.yshift or 0)
        sides = sorted(boxes, key=lambda side: side != _side(right, up_by))
        covered = {side: sum(overlap(boxes[side], other) for other in taken) for side in sides}
        best = min(sides, key=lambda side: covered[side])
        if covered[best] and not note.text.startswith("<b>"):
            continue
        taken.append(boxes[best])
        found[at[0]][at[1]] = Name(text, best, note.templateitemname)
    return found


def _labelled(
    figure: go.Figure, note: Any, entries: Sequence[tuple[Any, Sequence[int]]]
) -> tuple[int, int] | None:
    """Return the trace and the place in its series of the point that a label belongs to."""
    for nth, (trace, drawn) in enumerate(entries):
        color = trace.marker.color
        for place, index in enumerate(drawn):
            own = color if isinstance(color, str) else color[index]
            if own == note.templateitemname and _is_at(figure, note, trace, index):
                return nth, place
    return None


def _boxes(x: float, y: float, width: float) -> dict[Any, Box]:
    """Return the box of a text on each side of a point, in shares of the chart."""
    aside, over, half = 0.01, 0.02, _TEXT / 2
    return {
        XL_LABEL_POSITION.RIGHT: (x + aside, y - half, x + aside + width, y + half),
        XL_LABEL_POSITION.LEFT: (x - aside - width, y - half, x - aside, y + half),
        XL_LABEL_POSITION.ABOVE: (x - width / 2, y + over, x + width / 2, y + over + _TEXT),
        XL_LABEL_POSITION.BELOW: (x - width / 2, y - over - _TEXT, x + width / 2, y - over),
    }


def _is_at(figure: go.Figure, note: Any, trace: Any, index: int) -> bool:
    for direction in "xy":
        value = float(trace[direction][index])
        is_log = figure.layout[f"{direction}axis"].type == "log"
        place = math.log10(value) if is_log and value > 0 else value
        if not math.isclose(float(note[direction]), place, rel_tol=_SAME_PLACE):
            return False
    return True


def _side(right: float, up: float) -> Any:
    if abs(right) > 2 * abs(up):
        return XL_LABEL_POSITION.RIGHT if right > 0 else XL_LABEL_POSITION.LEFT
    return XL_LABEL_POSITION.ABOVE if up > 0 else XL_LABEL_POSITION.BELOW


def write_names(series: Any, names: Mapping[int, Name], surface: Surface) -> None:
    """Write names at points of a series."""
    for place, name in names.items():
        label = series.points[place].data_label
        label.text_frame.text = name.text
        label.position = name.side
        run = label.text_frame.paragraphs[0].runs[0]
        run.font.size = Pt(11)
        run.font.color.rgb = rgb(readable(name.color, surface) if name.color else surface.text)
