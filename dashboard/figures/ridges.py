"""Draw distributions of Δ log p side by side: bands of about one size, a lane per file, and p1, median and p99."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboard.figures import axes, charts
from dashboard.figures.drawing import Drawing
from dashboard.figures.picked import frame_rows
from dashboard.insights.siblings import Siblings
from dashboard.insights.token_changes import Ridge, ridges_of
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.results.token_summaries import Array, Curve, DeltaSummary, to_symlog
from dashboard.style import formats
from dashboard.style.names import NARROW, TITLE, in_figure
from dashboard.style.theme import BASELINE, translucent

#: Height of the highest density of a band, and how far the marks are below a density's foot, in lanes.
_HEIGHT, _UNDER = 0.78, 0.1
#: Room for a band's name, in lanes.
_HEADING = 0.8
MARKS = {"median": 50.0, "p1": 1.0, "p99": 99.0}  # the legend shows the first one's symbol
_SYMLOG_TICKS = (-10, -5, -2, -0.5, -0.1, 0, 0.1, 0.5, 2, 5, 10)


@dataclass(frozen=True)
class Told:
    """What the title says: the file whose ends it gives, and all files it names, by variant."""

    ends: str
    named: Collection[str]


@dataclass(frozen=True)
class _Lanes:
    """The height of every variant's lane and of every band's name; the first band is on top."""

    levels: Mapping[str, float]
    headings: Sequence[tuple[float, str]]

    @classmethod
    def of(cls, bands: Sequence[Siblings]) -> _Lanes:
        """Stack the bands upwards, beginning with the last."""
        levels: dict[str, float] = {}
        headings = []
        height = 0.0
        for band in reversed(bands):
            for row in reversed(band.rows):
                levels[str(row["variant_id"])] = height
                height += 1
            headings.append((height, band.name))
            height += _HEADING
        return cls(levels, headings)

    @property
    def top(self) -> float:
        """The upper end of the highest band's name."""
        return max(height for height, _ in self.headings) + 0.6


def figure(
    scope: Scope, bands: Sequence[Siblings], ridges: Sequence[Ridge], told: Told, *, symlog: bool
) -> Drawing:
    """Draw the distributions of `bands`, in their order from the top; densities of one band have one scale."""
    lanes, rows = _Lanes.of(bands), [row for row, _ in ridges]
    drawn = Drawing()
    upright = {"yref": "y domain", "y0": 0, "y1": 1, "x0": 0, "x1": 0}
    drawn.add_shape(type="line", **upright, line={"color": BASELINE.color, "width": 1.2, "dash": "dash"})
    picked = scope.selection.picked
    picking = charts.is_picking(scope.selection, rows)
    for band in bands:
        together = ridges_of(band, ridges)
        tallest = max(float(_curve(summary, symlog=symlog).density.max()) for _, summary in together)
        for row, summary in together:
            shape = {"height": _HEIGHT / tallest, "level": lanes.levels[row["variant_id"]]}
            faint = picking and row["variant_id"] not in picked
            color = scope.results.styles[row["method"]].color
            drawn.add_scatter(**_density(_curve(summary, symlog=symlog), color, shape, faint=faint))
    of = {str(row["variant_id"]): summary for row, summary in ridges}
    for curve in charts.series(scope.results, rows):
        emphasis = charts.emphasis(scope.selection, rows, [row for row in curve.rows for _ in range(4)])
        drawn.add_scatter(**_marks(curve, of, lanes.levels, symlog=symlog), **curve.legend, **emphasis)
    if told.ends in of:
        _ends(drawn, of[told.ends], lanes.levels[told.ends], symlog=symlog)
    frame = {"xref": "x domain", "yref": "y", "x0": 0, "x1": 1}
    frame_rows(
        drawn, [lanes.levels[row["variant_id"]] + 0.3 for row in rows if row["variant_id"] in picked], frame
    )
    _across(drawn, [summary for _, summary in ridges], symlog=symlog)
    _down(drawn, lanes, rows, told)
    return drawn


def _curve(summary: DeltaSummary, *, symlog: bool) -> Curve:
    return summary.symlog if symlog else summary.linear


def _density(curve: Curve, color: str, shape: Mapping[str, float], *, faint: bool) -> dict[str, Any]:
    """Return a filled density; single precision and even steps keep it small."""
    y = shape["level"] + shape["height"] * np.concatenate([[0.0], curve.density, [0.0]])
    step = float(curve.x[1] - curve.x[0])
    return {
        "x0": float(curve.x[0]) - step,
        "dx": step,
        "y": y.astype(np.float32),
        "mode": "lines",
        "fill": "toself",
        "fillcolor": translucent(color, 0.06 if faint else 0.28),
        "line": {"color": translucent(color, 0.2) if faint else color, "width": 1.3},
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _marks(
    curve: charts.Series, of: Mapping[str, DeltaSummary], levels: Mapping[str, float], *, symlog: bool
) -> dict[str, Any]:
    """Return p1, median and p99 of a method's variants, joined by a line under each density."""
    places, heights, texts = [], [], []
    for row in curve.rows:
        summary = of[row["variant_id"]]
        values = [summary.percentiles[mark].value for mark in MARKS.values()]
        places += [*_place(np.array(values), symlog=symlog), None]
        heights += [levels[row["variant_id"]] - _UNDER] * 4
        texts += [*(_hover(row, summary, name) for name in MARKS), ""]
    return {
        "x": places,
        "y": heights,
        "mode": "lines+markers",
        "connectgaps": False,
        "line": {"color": translucent(curve.style.color, 0.6), "width": 1.4},
        "marker": {
            "symbol": [curve.style.symbol, "line-ns-open", "line-ns-open", "circle"] * len(curve.rows),
            "size": 7,
            "color": curve.style.color,
            "line": {"width": 1.5, "color": curve.style.color},
        },
        "hovertext": texts,
        "hoverinfo": "text",
        "cliponaxis": False,
    }


def _place(values: Array, *, symlog: bool) -> list[float]:
    return [float(value) for value in (to_symlog(values) if symlog else values)]


def _ends(drawn: Drawing, summary: DeltaSummary, level: float, *, symlog: bool) -> None:
    """Write the title's values, p1 and p99, beside their marks."""
    for mark, anchor, shift in ((1.0, "right", -6), (99.0, "left", 6)):
        value = summary.percentiles[mark].value
        drawn.add_annotation(
            text=f"<b>{formats.signed(value, 2)}</b>",
            x=_place(np.array([value]), symlog=symlog)[0],
            y=level - _UNDER,
            xanchor=anchor,
            xshift=shift,
            yanchor="middle",
            showarrow=False,
            font={"size": 11},
        )


def _across(drawn: Drawing, summaries: Sequence[DeltaSummary], *, symlog: bool) -> None:
    ends = _place(np.array([-0.02, 0.02]), symlog=symlog)
    for summary in summaries:
        curve = _curve(summary, symlog=symlog)
        ends += [float(curve.x[0]), float(curve.x[-1])]
    across = axes.padded(ends, share=0.03)
    title, meaning = "Δ log p of the correct token (nats)", "left of 0 is worse than the baseline"
    drawn.update_xaxes(title_text=f"{title}: {meaning}", range=across)
    drawn.update_narrow(xaxis={"title": {"text": f"{title}:<br>{meaning}"}}, margin={"r": 8})
    if symlog:
        places = _place(np.array(_SYMLOG_TICKS, dtype=np.float64), symlog=True)
        ticks = [(x, t) for x, t in zip(places, _SYMLOG_TICKS, strict=True) if across[0] <= x <= across[1]]
        names = [formats.number(tick, 1) for _, tick in ticks]
        drawn.update_xaxes(tickangle=0, tickvals=[place for place, _ in ticks], ticktext=names)


def _down(drawn: Drawing, lanes: _Lanes, rows: Sequence[Row], told: Told) -> None:
    """Name lanes, in bold those of the title, and bands."""

    def names(most: int) -> list[str]:
        shown = [(in_figure(row["label"], most), row["variant_id"] in told.named) for row in rows]
        return [f"<b>{name}</b>" if is_told else name for name, is_told in shown]

    drawn.update_narrow(yaxis={"ticktext": names(NARROW)})
    drawn.update_yaxes(
        tickvals=[lanes.levels[row["variant_id"]] for row in rows],
        ticktext=names(TITLE),
        ticks="",
        showline=False,
        range=[-0.4, lanes.top],
    )
    for height, name in lanes.headings:
        drawn.add_annotation(
            text=in_figure(name, TITLE),
            x=0,
            y=height,
            xref="x domain",
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            font={"size": 11},
        )
    drawn.update_layout(showlegend=True)


def _hover(row: Row, summary: DeltaSummary, mark: str) -> str:
    value = summary.percentiles[MARKS[mark]]
    return (
        f"<b>{in_figure(row['label'])}</b><br>{mark} {formats.with_error(value.value, value.half)} nats<br>"
        f"{formats.percent(summary.near_zero.value)} within ±0.05 nats<br>"
        f"p1 to p99 {formats.number(summary.width.value)} nats, quartiles {formats.number(summary.iqr.value)}<br>"
        f"excess kurtosis {formats.number(summary.kurtosis, 2)}, {formats.count(summary.n)} tokens"
    )
