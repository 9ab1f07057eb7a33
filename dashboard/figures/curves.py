"""Draw methods' curves: points with their intervals, joined, named at their ends, and what the title says of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from dashboard.figures import charts
from dashboard.figures.drawing import Drawing
from dashboard.figures.labels import Box, Placing, Point, shares
from dashboard.figures.levels import Level, draw_levels, level_lines
from dashboard.figures.line_names import GLYPH, NAME_LENGTH, add_ring, fit_legend, method_name
from dashboard.figures.scales import LogScale, Scale
from dashboard.results.rows import Row, one_place, type_name
from dashboard.results.scope import Scope
from dashboard.style import names
from dashboard.style.theme import BASELINE

#: Space that keeps a label off the ring.
_CLEAR = "\u2002"


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
    other lines and texts in shares of the plot; `levels` are drawn with notes above or below them; `first` is the
    side of a point on which its label stands if it can.
    """

    scope: Scope
    rows: Sequence[Row]
    spots: Mapping[str, Spot]
    across: Sequence[float]
    scale: Scale
    hover: Mapping[str, str]
    front: Collection[str] = ()
    told: Told = Told()
    first: str = "top right"
    size: int = 9
    lines: Sequence[Sequence[Point]] = ()
    taken: Sequence[Box] = ()
    levels: Sequence[Level] = ()
    notes_above: bool = False

    def draw(self, drawn: Drawing) -> None:
        """Draw points and lines, then the ring and names; what the title names is placed first."""
        curves = charts.series(self.scope.results, self.rows)
        placing = self._placing(curves)
        labels = self._labels(placing, needed=True)
        notes = draw_levels(
            drawn,
            self.levels,
            self.scale,
            self.across,
            points=self._shares(self.rows),
            taken=placing.written,
            above=self.notes_above,
        )
        placing.take(notes)
        from_top = sorted(curves, key=lambda curve: -max(self._shares(curve.rows))[1])
        names_at = [(curve, self._end(curve, placing)) for curve in from_top]
        labels |= self._labels(placing, needed=False)
        for curve in curves:
            self._draw_curve(drawn, curve, labels)
        self._draw_edge(drawn, curves, labels)
        self._mark_subject(drawn, curves)
        for curve, settings in names_at:
            drawn.add_annotation(**method_name(curve), **settings)
        charts.add_places(drawn, curves)
        fit_legend(drawn)

    def _point(self, row: Row) -> Point:
        spot = self.spots[row["variant_id"]]
        return spot.x, self.scale.height(spot.y)

    def _shares(self, rows: Sequence[Row]) -> list[Point]:
        return shares([self._point(row) for row in rows], (self.across, self.scale.range))

    def _placing(self, curves: Sequence[charts.Series]) -> Placing:
        lines = [*self.lines, *(self._shares(curve.rows) for curve in curves)]
        lines += level_lines(self.levels, self.scale, self.across)
        ends = [(self.spots[row["variant_id"]], self._point(row)[1]) for row in self.rows]
        bars = [[(x, high) for x in (s.left, s.right) if x is not None] for s, high in ends]
        lines += [shares(bar, (self.across, self.scale.range)) for bar in bars]
        return Placing(self._shares(self.rows), lines, self.taken)

    def _labels(self, placing: Placing, *, needed: bool) -> dict[str, tuple[str, str]]:
        """Place labels: of picked files and those in the title (needed), or of the others where there is room.

        The front comes first. Of several models or devices, only the files that titles are about are labelled.
        """
        chosen = self.scope.selection.picked | set(self.told.values) | {self.told.subject}
        ours = {row["variant_id"] for row in one_place(self.rows)}
        order = sorted(enumerate(self.rows), key=lambda item: self._rank(item[1]))
        labels: dict[str, tuple[str, str]] = {}
        for index, row in order:
            own = row["variant_id"]
            if (own in chosen) != needed or not (needed or own in ours):
                continue
            value = self.told.values.get(own, "")
            text = " · ".join(filter(None, [names.short(type_name(row), names.POINT), value]))
            text = f"{_CLEAR}{text}{_CLEAR}" if own == self.told.subject else text
            side = placing.beside(index, text, self.first, needed=needed)
            if side:
                labels[own] = (f"<b>{names.in_figure(text)}</b>" if value else names.in_figure(text), side)
        return labels

    def _rank(self, row: Row) -> tuple[bool, bool, bool]:
        own = row["variant_id"]
        return own != self.told.subject, own not in self.told.values, own not in self.front

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

    def _draw_curve(
        self, drawn: Drawing, every: charts.Series, labels: Mapping[str, tuple[str, str]]
    ) -> None:
        curve = replace(every, rows=[row for row in every.rows if self._is_held(row)])
        if not curve.rows:
            return
        spots = [self.spots[row["variant_id"]] for row in curve.rows]
        drawn.add_scatter(
            x=[spot.x for spot in spots],
            y=[spot.y for spot in spots],
            **self._bars(curve, spots),
            mode="lines+markers+text",
            line=charts.line(curve, self.scope.selection, self.rows),
            marker=curve.marker(self.size, self.front),
            hovertext=[self.hover[row["variant_id"]] for row in curve.rows],
            **_texts(curve.rows, labels),
            **charts.points(curve, self.scope.selection, self.rows) | {"showlegend": False},
        )

    def _is_held(self, row: Row) -> bool:
        return self.scale.holds(self.spots[row["variant_id"]].y)

    def _bars(self, curve: charts.Series, spots: Sequence[Spot]) -> dict[str, Any]:
        """Return error bars, cut off at the lower end of a log axis."""
        least = 10 ** min(self.scale.range) if isinstance(self.scale, LogScale) else -math.inf
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
        return bars

    def _draw_edge(
        self, drawn: Drawing, curves: Sequence[charts.Series], labels: Mapping[str, tuple[str, str]]
    ) -> None:
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
                BASELINE, [max(0.0, spot.high - edge) for spot in spots], [0.0] * len(rows)
            ),
            mode="markers+text",
            name=f"{self.scale.text}: at the edge of the log axis",
            marker={
                "color": [style.color for style, _ in rest],
                "symbol": [f"{style.symbol}-open" for style, _ in rest],
                "size": self.size + 1,
                "line": {"width": 2},
            },
            hovertext=[self.hover[row["variant_id"]] for row in rows],
            hoverinfo="text",
            cliponaxis=False,
            showlegend=False,
            **_texts(rows, labels),
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
            line = charts.line(curve, self.scope.selection, self.rows) | {"dash": "dot", "width": 1.2}
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


def _texts(rows: Sequence[Row], labels: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """Return the scatter settings that write the labels of a trace's points."""
    own = [labels.get(row["variant_id"], ("", "top center")) for row in rows]
    return {
        "text": [text for text, _ in own],
        "textposition": [side for _, side in own],
        "textfont": {"size": 11},
    }
