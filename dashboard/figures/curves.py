"""Draw methods' curves: points with their intervals, joined, named at their ends, and what the title says of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from dashboard.figures import charts, point_labels
from dashboard.figures.callouts import MOST
from dashboard.figures.crowd import FAINT, THROUGH, rooms
from dashboard.figures.drawing import Drawing
from dashboard.figures.labels import Box, Placing, Point, Ranges, shares
from dashboard.figures.levels import Level, draw_levels, level_lines
from dashboard.figures.line_names import GLYPH, NAME_LENGTH, add_ring, fit_legend, method_name
from dashboard.figures.point_labels import Labelled
from dashboard.figures.scales import LogScale, Scale
from dashboard.results.rows import Row, one_place, type_name
from dashboard.results.scope import Scope
from dashboard.style import names
from dashboard.style.theme import BASELINE

#: Ranks of labels: of the title's and of picked files, of the front, of others, and of other models' and devices'.
_TOLD, _FRONT, _OTHER, _ELSEWHERE = 0, 1, 2, 3


@dataclass(frozen=True)
class Spot:
    """A variant's place in axis units; `low` and `high` are the ends of its interval, `left` and `right` across."""

    x: float
    y: float
    low: float
    high: float
    left: float | None = None
    right: float | None = None


@dataclass(frozen=True)
class Told:
    """What the title says of drawn files, for their labels: values by variant, and words by method at its line's end.

    `subject` is the variant that the title names: it is ringed and drawn over the others.
    """

    subject: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    endings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Curves:
    """The variants of all methods in a plot.

    `spots`, `hover` and `front` are by variant; `across` is the range of the horizontal axis; `lines` and `taken` are
    other lines and texts in shares of the plot; `levels` are drawn with notes above or below them. If `vivid` is not
    None, only its files have labels and bars, and the others are faint. `marks` are points that others drew.
    """

    scope: Scope
    rows: Sequence[Row]
    spots: Mapping[str, Spot]
    across: Sequence[float]
    scale: Scale
    hover: Mapping[str, str]
    front: Collection[str] = ()
    told: Told = Told()
    size: int = 9
    lines: Sequence[Sequence[Point]] = ()
    taken: Sequence[Box] = ()
    levels: Sequence[Level] = ()
    notes_above: bool = False
    vivid: Collection[str] | None = None
    marks: Sequence[Point] = ()

    def draw(self, drawn: Drawing) -> None:
        """Draw points and lines, then the ring and names; labels keep clear of all of them."""
        curves = charts.series(self.scope.results, self.rows)
        lines = self._lines(curves)
        notes = draw_levels(
            drawn,
            self.levels,
            self.scale,
            self.across,
            points=self._shares(self.rows),
            taken=self.taken,
            above=self.notes_above,
        )
        free = [] if self.vivid is None else rooms(self._shares(list(filter(self._is_vivid, self.rows))))
        placing = Placing(self._shares(self.rows), lines, [*free, *self.taken, *notes])
        from_top = sorted(curves, key=lambda curve: -max(self._shares(curve.rows))[1])
        names_at = [(curve, self._end(curve, placing)) for curve in from_top]
        for curve in curves:
            self._draw_curve(drawn, curve)
        self._draw_edge(drawn, curves)
        self._mark_subject(drawn, curves)
        for curve, settings in names_at:
            drawn.add_annotation(**method_name(curve), **settings)
        labels, written = self._labels(curves), placing.written[len(free) :]
        labelled = {item.point for item in labels}
        rest = [point for point in map(self._point, self.rows) if point not in labelled]
        point_labels.write(drawn, labels, self._ranges, lines, written, [*rest, *self.marks])
        charts.add_places(drawn, curves)
        fit_legend(drawn)

    def _point(self, row: Row) -> Point:
        spot = self.spots[row["variant_id"]]
        return spot.x, self.scale.height(spot.y)

    @property
    def _ranges(self) -> Ranges:
        return self.across, self.scale.range

    def _shares(self, rows: Sequence[Row]) -> list[Point]:
        return shares([self._point(row) for row in rows], self._ranges)

    def _lines(self, curves: Sequence[charts.Series]) -> list[Sequence[Point]]:
        """Return the lines that texts avoid, in shares: curves unless faint, levels, others', bars of a few files."""
        bars: list[list[Point]] = []
        for row in filter(self._has_bars, self.rows) if len(self.rows) <= MOST else ():
            spot, (x, y) = self.spots[row["variant_id"]], self._point(row)
            ends = [self.scale.height(end) if self.scale.holds(end) else y for end in (spot.low, spot.high)]
            across = [end for end in (spot.left, spot.right) if end is not None]
            bars += [[(x, end) for end in ends], [(end, y) for end in across]]
        own = [self._shares(curve.rows) for curve in curves if self.vivid is None]
        levels = level_lines(self.levels, self.scale, self.across)
        return [*self.lines, *own, *levels, *(shares(bar, self._ranges) for bar in bars)]

    def _labels(self, curves: Sequence[charts.Series]) -> list[Labelled]:
        """Return the labels: of picked files and those in the title, then of the front, then of others.

        Of several models or devices, the files that titles are not about come last.
        """
        told, picked = self._named, self.scope.selection.picked
        ours = {row["variant_id"] for row in one_place(self.rows)}
        picking = charts.is_picking(self.scope.selection, self.rows)
        found = []
        for curve in curves:
            for row in curve.rows:
                own = row["variant_id"]
                if not self._is_vivid(row):
                    continue
                value = self.told.values.get(own, "")
                text = " · ".join(filter(None, [names.short(type_name(row), names.POINT), value]))
                least = _OTHER if own in ours else _ELSEWHERE
                rank = _TOLD if own in told | picked else _FRONT if own in self.front else least
                ringed = own == self.told.subject
                label = point_labels.label(text, rank, bold=bool(value), ringed=ringed)
                faint = picking and own not in picked
                found.append(Labelled(self._point(row), label, curve.style.color, faint))
        return found

    @property
    def _named(self) -> set[str]:
        return {*self.told.values, self.told.subject} - {""}

    def _is_vivid(self, row: Row) -> bool:
        return self.vivid is None or row["variant_id"] in self.vivid

    def _has_bars(self, row: Row) -> bool:
        """Return whether a file has bars: of a crowd those that stand out, or with picks those picked or told of."""
        if self.vivid is None or not charts.is_picking(self.scope.selection, self.rows):
            return self._is_vivid(row)
        return row["variant_id"] in self._named | self.scope.selection.picked

    def _opacity(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return the opacity of points in a crowd; none without one."""
        vivid = [1.0 if self._is_vivid(row) else FAINT for row in rows]
        return {} if self.vivid is None else {"opacity": vivid}

    def _end(self, curve: charts.Series, placing: Placing) -> dict[str, Any]:
        """Return where the method's name stands, as settings of an annotation, with what the title says of it."""
        ending = self.told.endings.get(curve.name, "")
        name = names.short(curve.method, NAME_LENGTH)
        places = self._shares(curve.rows)
        text = f"{name} {ending}".rstrip()
        end = placing.at_end(max(places), min(places), " " * GLYPH + text)
        (left, right), (bottom, top) = self.across, self.scale.range
        glyph = f'<span style="color:{curve.style.color}">{curve.style.glyph}</span>'
        return {
            "text": f"{glyph} <b>{names.in_figure(name)}</b> {names.in_figure(ending)}".rstrip(),
            "x": left + end.x * (right - left),
            "y": bottom + end.y * (top - bottom),
            "xanchor": end.anchor,
        }

    def _draw_curve(self, drawn: Drawing, every: charts.Series) -> None:
        curve = replace(every, rows=[row for row in every.rows if self._is_held(row)])
        if not curve.rows:
            return
        spots = [self.spots[row["variant_id"]] for row in curve.rows]
        drawn.add_scatter(
            x=[spot.x for spot in spots],
            y=[spot.y for spot in spots],
            **self._bars(curve, spots),
            mode="lines+markers",
            line=self._line(curve),
            marker=curve.marker(self.size, self.front) | self._opacity(curve.rows),
            hovertext=[self.hover[row["variant_id"]] for row in curve.rows],
            **charts.points(curve, self.scope.selection, self.rows) | {"showlegend": False},
        )

    def _line(self, curve: charts.Series) -> dict[str, Any]:
        alpha = 1 if self.vivid is None else THROUGH
        return charts.line(curve, self.scope.selection, self.rows, alpha)

    def _is_held(self, row: Row) -> bool:
        return self.scale.holds(self.spots[row["variant_id"]].y)

    def _bars(self, curve: charts.Series, spots: Sequence[Spot]) -> dict[str, Any]:
        """Return error bars, cut off at the lower end of a log axis."""
        least = 10 ** min(self.scale.range) if isinstance(self.scale, LogScale) else -math.inf
        spots = [
            spot if self._has_bars(row) else Spot(spot.x, spot.y, spot.y, spot.y)
            for row, spot in zip(curve.rows, spots, strict=True)
        ]
        bars = {
            "error_y": charts.error_bars(
                curve.style,
                [spot.high - spot.y for spot in spots],
                [min(spot.y - spot.low, max(0.0, spot.y - least)) for spot in spots],
            )
        }
        if any(spot.left is not None or spot.right is not None for spot in spots):
            ahead = [max(0.0, (spot.right or spot.x) - spot.x) for spot in spots]
            behind = [max(0.0, spot.x - (spot.left or spot.x)) for spot in spots]
            bars["error_x"] = charts.error_bars(curve.style, ahead, behind)
        # Plotly draws the ends even of bars without a length.
        ends = {} if self.vivid is None else {"width": 0}
        return {name: bar | ends for name, bar in bars.items()}

    def _draw_edge(self, drawn: Drawing, curves: Sequence[charts.Series]) -> None:
        """Draw the points that a log axis cannot hold as open markers at its edge, joined with their neighbours."""
        rest = [(curve.style, row) for curve in curves for row in curve.rows if not self._is_held(row)]
        if not rest or self.scale.edge is None:
            return
        edge = 10**self.scale.edge
        for curve in curves:
            self._join_edge(drawn, curve)
        rows: list[Row] = [row for _, row in rest]
        spots = [self.spots[row["variant_id"]] for row in rows]
        drawn.add_scatter(
            x=[spot.x for spot in spots],
            y=[edge] * len(rows),
            error_y=charts.error_bars(
                BASELINE,
                [
                    max(0.0, spot.high - edge) if self._has_bars(row) else 0.0
                    for row, spot in zip(rows, spots, strict=True)
                ],
                [0.0] * len(rows),
            ),
            mode="markers",
            name=f"{self.scale.text}: at the edge of the log axis",
            marker={
                "color": [style.color for style, _ in rest],
                "symbol": [f"{style.symbol}-open" for style, _ in rest],
                "size": self.size + 1,
                "line": {"width": 2},
                **self._opacity(rows),
            },
            hovertext=[self.hover[row["variant_id"]] for row in rows],
            hoverinfo="text",
            cliponaxis=False,
            showlegend=False,
            **charts.emphasis(self.scope.selection, self.rows, rows),
        )

    def _join_edge(self, drawn: Drawing, curve: charts.Series) -> None:
        x: list[float | None] = []
        y: list[float | None] = []
        for one, other in pairwise(curve.rows):
            if not (self._is_held(one) and self._is_held(other)):
                ends = [self.spots[row["variant_id"]] for row in (one, other)]
                x += [*(spot.x for spot in ends), None]
                y += [*(self.scale.place(spot.y) for spot in ends), None]
        if x:
            line = self._line(curve) | {"dash": "dot", "width": 1.2}
            drawn.add_scatter(x=x, y=y, mode="lines", line=line, showlegend=False, hoverinfo="skip")

    def _mark_subject(self, drawn: Drawing, curves: Sequence[charts.Series]) -> None:
        """Ring the variant that the title names, and draw it over points that hide it, to be hovered and clicked."""
        for curve in curves:
            own = replace(curve, rows=[r for r in curve.rows if r["variant_id"] == self.told.subject])
            if not own.rows:
                continue
            spot, held = self.spots[self.told.subject], self._is_held(own.rows[0])
            place = {"x": [spot.x], "y": [self.scale.place(spot.y)], "mode": "markers", "showlegend": False}
            add_ring(drawn, spot.x, self.scale.place(spot.y))
            marker = own.marker(self.size, self.front)
            if not held:
                marker |= {"symbol": f"{own.style.symbol}-open", "line": {"width": 2}}
            hover = {"hovertext": [self.hover[self.told.subject]], "hoverinfo": "text", "cliponaxis": False}
            emphasis = charts.emphasis(self.scope.selection, self.rows, own.rows)
            drawn.add_scatter(marker=marker, **place, **hover, **emphasis)
