"""Draw the memory of files with each type of the cache against their loss as they run."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dashboard.figures import axes, charts, point_labels
from dashboard.figures.drawing import Drawing
from dashboard.figures.labels import Box, Point, shares
from dashboard.figures.levels import add_note, baseline_levels, draw_levels, level_lines
from dashboard.figures.line_names import add_ring
from dashboard.figures.point_labels import Labelled
from dashboard.figures.scales import LinearScale, LogScale, Scale
from dashboard.insights.cache_choice import NOTHING_RUN, Setting, Win, between, wins
from dashboard.insights.comparison import nats
from dashboard.results.cache_types import (
    by_file,
    cache_types,
    loss_from_baseline,
    loss_from_file,
    ppl_half,
    usual_type,
)
from dashboard.results.engines import in_words
from dashboard.results.rows import Row, type_name
from dashboard.results.scope import Scope
from dashboard.style import formats, names
from dashboard.style.theme import BASELINE, HIGHLIGHT, translucent

#: How a marker differs from its method's: the end of the symbol's name, and the size in pixels. One per type of the
#: cache, that with the most bytes first; further types look like the last.
_SIGNS = tuple((end, size) for size in (10, 7) for end in ("", "-open", "-open-dot", "-dot"))
#: Opacity of points that are not on the front.
_BEHIND = 0.4
_Key = tuple[str, str]


def draw(scope: Scope, setting: Setting) -> Drawing:
    """Draw a point per file and type of the cache, those of a file joined, and the Pareto front of all vivid."""
    rows = list(setting.rows)
    if not rows:
        return charts.message_figure(NOTHING_RUN)
    drawn = Drawing()
    sizes = [setting.bytes_of(row) for row in rows]
    unit, name = axes.byte_unit(sizes)
    x = [size / unit for size in sizes]
    x_range, scale = axes.padded(x, 0.07), _Vertical(setting)
    y, points = [scale.place(row) for row in rows], list(zip(x, map(scale.height, rows), strict=True))
    ranges = (x_range, scale.range)
    lines = scale.add_baselines(drawn, scope, x_range, points)
    kept, won = set(map(_key, setting.front)), wins(scope, setting.sound(scope.results))[:1]
    front = [index for index, row in enumerate(rows) if _key(row) in kept]
    notes = _draw_claim(drawn, setting, won, unit, x_range)
    places = {_key(row): place for row, place in zip(rows, zip(x, y, strict=True), strict=True)}
    kinds = cache_types(rows)
    signs = {kind: _SIGNS[min(place, len(_SIGNS) - 1)] for place, kind in enumerate(kinds)}
    curves = charts.series(scope.results, rows)
    picking = charts.is_picking(scope.selection, rows)
    for curve in curves:
        joined = [row for row in curve.rows if not picking or row["variant_id"] in scope.selection.picked]
        _join(drawn, curve, joined, places)
    for curve in curves:
        drawn.add_scatter(
            x=[places[_key(row)][0] for row in curve.rows],
            y=[places[_key(row)][1] for row in curve.rows],
            mode="markers",
            error_y=_bars(curve, setting, scale),
            marker=_marker(
                curve,
                [signs[row["cache_type"]] for row in curve.rows],
                [_key(row) in kept for row in curve.rows],
            ),
            hovertext=[_hover(row, setting) for row in curve.rows],
            **charts.points(curve, scope.selection, rows) | {"showlegend": False},
        )
        drawn.add_scatter(x=[None], y=[None], mode="markers", marker=curve.marker(10), **curve.legend)
    for win in won:
        add_ring(drawn, *places[_key(win.better)])
    for kind in kinds:
        _explain(drawn, kind, signs[kind])
    labels = _labels(scope, setting, points, front, won)
    lines += [shares(line, ranges) for line in _joined(rows, dict(zip(map(_key, rows), points, strict=True)))]
    point_labels.write(drawn, labels, ranges, lines, notes, points)
    drawn.update_layout(showlegend=True)
    title = f"{setting.counted} at {setting.in_words} ({name}, 10{'⁹' if name == 'GB' else '⁶'} bytes)"
    drawn.update_xaxes(title_text=title, range=x_range)
    drawn.update_yaxes(**scale.axis)
    return drawn


class _Vertical:
    """The vertical axis: the KLD on a log scale, or 1/PPL."""

    def __init__(self, setting: Setting) -> None:
        self._loss = setting.loss
        values = [self._value(row) for row in setting.rows]
        self._scale: Scale = (
            LogScale.of(values) if self._loss == "kld" else LinearScale(axes.padded(values, 0.08))
        )
        title = {"kld": "mean KLD as run (nats per token, log scale)", "ppl": "1 / perplexity as run"}
        ticks = {} if self._loss == "kld" else {"tickformat": ".3~g"}
        self.axis: dict[str, Any] = {"title_text": title[self._loss], **self._scale.axis, **ticks}

    @property
    def range(self) -> list[float]:
        """The axis range, in decades on the log scale."""
        return self._scale.range

    def _value(self, row: Row) -> float:
        return float(row["cache_baseline_kld_mean"]) if self._loss == "kld" else 1 / float(row["cache_ppl"])

    def place(self, row: Row) -> float:
        """Return a row's place in the unit of the axis."""
        return self._scale.place(self._value(row))

    def height(self, row: Row) -> float:
        """Return a row's place in the unit of the range, decades on the log scale."""
        return self._scale.height(self._value(row))

    def add_baselines(
        self, drawn: Drawing, scope: Scope, across: Sequence[float], points: Sequence[Point]
    ) -> list[list[Point]]:
        """Draw the baseline's level of 1/PPL if it is in the range; return lines for labels to avoid."""
        if self._loss == "kld":
            return []
        everything = scope.narrowed(domains=frozenset(), bins=frozenset())
        low, high = self.range
        inside = [
            level
            for level in baseline_levels(everything, everything.rows, inverse=True)
            if low < level.value < high
        ]
        places = shares(points, (across, self.range))
        boxes = draw_levels(drawn, inside, self._scale, across, points=places, above=True)
        struck = [[(left, (low + high) / 2), (right, (low + high) / 2)] for left, low, right, high in boxes]
        return [*level_lines(inside, self._scale, across), *struck]


def _draw_claim(
    drawn: Drawing, setting: Setting, won: Sequence[Win], unit: float, across: Sequence[float]
) -> list[Box]:
    """Shade the memory in which the title's file wins, or that all files take; return the note's box in shares."""
    sizes = [setting.bytes_of(row) for row in setting.rows]
    if not won and len(cache_types(setting.rows)) > 1:
        return []
    low, high = (won[0].low, won[0].high) if won else (min(sizes), max(sizes))
    text = between(low, high) if won else f"{formats.size(low)} to {formats.size(high)}"
    ends = [low / unit, (high if math.isfinite(high) else max(sizes)) / unit]
    place = {"x0": ends[0], "x1": ends[1], "yref": "y domain", "y0": 0, "y1": 1}
    drawn.add_shape(type="rect", **place, fillcolor=HIGHLIGHT, line={"width": 0}, layer="below")
    return [add_note(drawn, across, ends[0], text)]


def _key(row: Row) -> _Key:
    return str(row["variant_id"]), str(row["cache_type"])


def _labels(
    scope: Scope, setting: Setting, points: Sequence[Point], front: Collection[int], won: Sequence[Win]
) -> list[Labelled]:
    """Return the labels of the two points in the title, of picked files, and of the front."""
    rows, usual, styles = setting.rows, usual_type(setting.rows), scope.results.styles
    title = {_key(row) for win in won for row in (win.better, win.other)}
    found = []
    for index, (row, point) in enumerate(zip(rows, points, strict=True)):
        is_told, is_picked = _key(row) in title, row["variant_id"] in scope.selection.picked
        if not (is_told or is_picked or index in front):
            continue
        kind = "" if row["cache_type"] == usual and not is_told else f" · {row['cache_type']}"
        text = f"{names.short(type_name(row), names.POINT)}{kind}"
        label = point_labels.label(
            text, 0 if is_told else 1 if is_picked else 2, bold=is_told, ringed=is_told
        )
        found.append(Labelled(point, label, styles[row["method"]].color))
    return found


def _joined(rows: Sequence[Row], places: Mapping[_Key, Point]) -> list[list[Point]]:
    """Return the points of each file, which a line joins."""
    return [sorted(places[_key(row)] for row in file.values()) for file in by_file(rows)]


def _join(
    drawn: Drawing, curve: charts.Series, rows: Sequence[Row], places: Mapping[_Key, tuple[float, float]]
) -> None:
    """Join the points of each file of a curve with a thin line."""
    x: list[float | None] = []
    y: list[float | None] = []
    for ends in _joined(rows, places):
        x += [*(end[0] for end in ends), None]
        y += [*(end[1] for end in ends), None]
    line = {"color": translucent(curve.style.color, 0.5), "width": 1}
    drawn.add_scatter(
        x=x, y=y, mode="lines", line=line, legendgroup=curve.method, showlegend=False, hoverinfo="skip"
    )


def _bars(curve: charts.Series, setting: Setting, scale: _Vertical) -> dict[str, Any]:
    """Return 95 % intervals; of 1/PPL those of the distance from the baseline."""
    over, under = [], []
    for row in curve.rows:
        value = scale.place(row)
        if setting.loss == "kld":
            half = loss_from_baseline(row).half
            ends = (value + half, max(value - half, 0.02 * value))
        else:
            half = ppl_half(row)
            ends = (
                (value * math.exp(half), value * math.exp(-half)) if math.isfinite(half) else (value, value)
            )
        known = math.isfinite(half)
        over.append(ends[0] - value if known else 0.0)
        under.append(value - ends[1] if known else 0.0)
    return charts.error_bars(curve.style, over, under)


def _marker(
    curve: charts.Series, signs: Sequence[tuple[str, int]], in_front: Sequence[bool]
) -> dict[str, Any]:
    """Return the points' marker: the method's symbol, changed by the type of the cache, faint behind the front."""
    return {
        "color": curve.style.color,
        "symbol": [f"{curve.style.symbol}{end}" for end, _ in signs],
        "size": [size for _, size in signs],
        "opacity": [1 if is_in_front else _BEHIND for is_in_front in in_front],
        "line": {"color": curve.style.color, "width": 1.6},
    }


def _explain(drawn: Drawing, kind: str, sign: tuple[str, int]) -> None:
    """Add a legend entry for a type of the cache."""
    end, size = sign
    marker = {"symbol": f"circle{end}", "size": size, "color": BASELINE.color, "line": {"width": 1.6}}
    drawn.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        marker=marker,
        name=names.in_figure(f"{kind} cache", names.LEGEND),
        hoverinfo="skip",
    )


def _hover(row: Row, setting: Setting) -> str:
    lines = [
        f"<b>{names.in_figure(row['label'])}</b> with {names.in_figure(row['cache_type'])} cache",
        setting.memory_of(row),
    ]
    if row["cache_baseline_kld_mean"] is not None:
        lines.append(f"mean KLD from the baseline {nats(loss_from_baseline(row))}")
    if row["cache_kld_mean"] is not None:
        lines.append(f"from the exact weights of the file {nats(loss_from_file(row))}")
    if row["cache_ppl"] is not None:
        lines.append(f"PPL {formats.number(row['cache_ppl'], 4)}")
    if row["cache_decode_ms_p50"] is not None:
        lines.append(f"decode {formats.number(row['cache_decode_ms_p50'])} ms per token")
    if row["cache_decode_deep_ms_p50"] is not None:
        lines.append(f"after 4,096 tokens {formats.number(row['cache_decode_deep_ms_p50'])} ms per token")
    return "<br>".join([*lines, f"in {names.in_figure(in_words(row['engine']))}"])
