"""Draw view 7: how the probability of the correct token changes, token by token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dashboard.figures import axes, charts, densities
from dashboard.figures.drawing import Drawing
from dashboard.figures.picked import name_beside
from dashboard.insights import Insight
from dashboard.insights.claims import claims_of
from dashboard.insights.comparison import NOTHING, elsewhere
from dashboard.insights.matching import one_type, place_name
from dashboard.insights.picks import Telling
from dashboard.results.exported import distributions
from dashboard.results.rows import Row, complete, one_place, type_name
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.results.token_summaries import Array, Curve, DeltaSummary, to_symlog
from dashboard.style import formats
from dashboard.style.names import TICK, in_figure
from dashboard.style.theme import BASELINE, translucent
from dashboard.views import Option, View, absent_tokens

_SCALE = Option("scale", "Scale", (("linear", "linear"), ("symlog", "symmetric log")))
_HEIGHT, _UNDER = 0.72, 0.075
_MOST_ROWS = 20
_MARKS = {"median": 50.0, "p1": 1.0, "p99": 99.0}  # the legend shows the first one's symbol
_SYMLOG_TICKS = (-10, -5, -2, -0.5, -0.1, 0, 0.1, 0.5, 2, 5, 10)

Ridge = tuple[Row, DeltaSummary]


def _ridges(scope: Scope) -> list[Ridge]:
    """Return the distributions, fewest bits first, of at most `_MOST_ROWS` quant types."""
    rows = sorted(
        one_place(complete(scope.rows)), key=lambda r: (r["bits_per_weight"], r["method"], r["variant_id"])
    )
    pairs = [(row, scope.delta(str(row["variant_id"]))) for row in rows]
    ridges = [(row, summary) for row, summary in pairs if summary is not None]
    kept = list(_levels(ridges))[:_MOST_ROWS]
    return [(row, summary) for row, summary in ridges if type_name(row) in kept]


def _levels(ridges: Sequence[Ridge]) -> dict[str, int]:
    """Return the height of every quant type's lane, fewest bits on top."""
    lanes = dict.fromkeys(type_name(row) for row, _ in ridges)
    return {lane: len(lanes) - 1 - index for index, lane in enumerate(lanes)}


def figure(scope: Scope) -> Drawing:
    """Draw a lane per quant type with the methods' densities overlaid and p1, median and p99 below."""
    ridges = _ridges(scope)
    if not ridges:
        return charts.message_figure("No selected variant has per-token data")
    symlog = _SCALE.of(scope.selection) == "symlog"
    rows = [row for row, _ in ridges]
    levels = _levels(ridges)
    tallest: dict[str, float] = {}
    for row, summary in ridges:
        lane = type_name(row)
        tallest[lane] = max(tallest.get(lane, 0.0), float(_curve(summary, symlog=symlog).density.max()))
    drawn = Drawing()
    upright = {"yref": "y domain", "y0": 0, "y1": 1, "x0": 0, "x1": 0}
    drawn.add_shape(type="line", **upright, line={"color": BASELINE.color, "width": 1.2, "dash": "dash"})
    picking = charts.is_picking(scope.selection, rows)
    for row, summary in ridges:
        lane = type_name(row)
        faint = picking and row["variant_id"] not in scope.selection.picked
        curve_of = _curve(summary, symlog=symlog)
        shape = {"height": _HEIGHT / tallest[lane], "level": levels[lane], "faint": faint}
        drawn.add_scatter(**densities.density(curve_of, scope.results.styles[row["method"]].color, shape))
    for index, curve in enumerate(charts.series(scope.results, rows)):
        offset = _UNDER * (1 + index % 3)
        drawn.add_scatter(
            **_marks(curve, _by_variant(ridges), levels, offset, scope.selection, rows, symlog=symlog)
        )
        for row in (row for row in curve.rows if row["variant_id"] in scope.selection.picked):
            end = np.array([_by_variant(ridges)[row["variant_id"]].percentiles[99.0].value])
            place = _place(end, symlog=symlog)[0], levels[type_name(row)] - offset
            name_beside(drawn, row, place, curve.style.color, xanchor="left", xshift=7)
    _axes(drawn, ridges, levels, symlog=symlog)
    return drawn


def _by_variant(ridges: Sequence[Ridge]) -> dict[str, DeltaSummary]:
    """Return the summaries by variant."""
    return {row["variant_id"]: summary for row, summary in ridges}


def _curve(summary: DeltaSummary, *, symlog: bool) -> Curve:
    return summary.symlog if symlog else summary.linear


def _marks(
    curve: charts.Series,
    of: Mapping[str, DeltaSummary],
    levels: Mapping[str, int],
    offset: float,
    selection: Selection,
    shown: Sequence[Row],
    *,
    symlog: bool,
) -> dict[str, Any]:
    """Return p1, median and p99 of a method's variants, joined by a line under each density."""
    places, heights, texts, rows = [], [], [], []
    for row in curve.rows:
        summary = of[row["variant_id"]]
        values = [summary.percentiles[mark].value for mark in _MARKS.values()]
        places += [*_place(np.array(values), symlog=symlog), None]
        heights += [levels[type_name(row)] - offset] * 4
        texts += [*(_hover(row, summary, name) for name in _MARKS), ""]
        rows += [row] * 4
    symbols = [curve.style.symbol, "line-ns-open", "line-ns-open", "circle"]
    return dict(
        x=places,
        y=heights,
        mode="lines+markers",
        connectgaps=False,
        line={"color": translucent(curve.style.color, 0.45), "width": 1.2},
        marker={
            "symbol": symbols * len(curve.rows),
            "size": 7,
            "color": curve.style.color,
            "line": {"width": 1.5, "color": curve.style.color},
        },
        hovertext=texts,
        hoverinfo="text",
        cliponaxis=False,
        **curve.legend,
        **charts.emphasis(selection, shown, rows),
    )


def _place(values: Array, *, symlog: bool) -> list[float]:
    return [float(value) for value in (to_symlog(values) if symlog else values)]


def _axes(drawn: Drawing, ridges: Sequence[Ridge], levels: Mapping[str, int], *, symlog: bool) -> None:
    curves = [_curve(summary, symlog=symlog) for _, summary in ridges]
    ends = [
        *_place(np.array([-0.02, 0.02]), symlog=symlog),
        *(float(c.x[i]) for c in curves for i in (0, -1)),
    ]
    across = axes.padded(ends, share=0.03)
    title = "Δ log p of the correct token (nats): left of 0 is worse than the baseline"
    drawn.update_xaxes(title_text=title, range=across)
    if symlog:
        places = _place(np.array(_SYMLOG_TICKS, dtype=np.float64), symlog=True)
        ticks = [(x, t) for x, t in zip(places, _SYMLOG_TICKS, strict=True) if across[0] <= x <= across[1]]
        names = [formats.number(tick, 1) for _, tick in ticks]
        drawn.update_xaxes(tickangle=0, tickvals=[place for place, _ in ticks], ticktext=names)
    drawn.update_yaxes(
        tickvals=list(levels.values()),
        ticktext=[in_figure(lane, TICK) for lane in levels],
        ticks="",
        showline=False,
        range=[-0.35, len(levels) - 0.1],
    )
    drawn.update_layout(showlegend=True)


def _hover(row: Row, summary: DeltaSummary, mark: str) -> str:
    value = summary.percentiles[_MARKS[mark]]
    return (
        f"<b>{in_figure(row['label'])}</b><br>{mark} {formats.with_error(value.value, value.half)} nats<br>"
        f"{formats.percent(summary.near_zero.value)} within ±0.05 nats<br>"
        f"p1 to p99 {formats.number(summary.width.value)} nats, quartiles {formats.number(summary.iqr.value)}<br>"
        f"excess kurtosis {formats.number(summary.kurtosis, 2)}, {formats.count(summary.n)} tokens"
    )


def headline(scope: Scope) -> str:
    """Name the narrowest distributions, and the range of the middle 98 % of the narrowest one's tokens."""
    ridges = _ridges(scope)
    return narrowest(ridges) if ridges else "No selected variant has per-token data"


def narrowest(ridges: Sequence[Ridge]) -> str:
    """Name the narrowest of one or more distributions and those tied with it."""
    row, summary = min(ridges, key=lambda ridge: (ridge[1].width.value, ridge[0]["variant_id"]))
    every = {(its.width.value, its.iqr.value, its.near_zero.value, its.kurtosis) for _, its in ridges}
    ends = [formats.signed(summary.percentiles[mark].value, 2) for mark in (1.0, 99.0)]
    tied = [other["label"] for other, its in ridges if not its.width.minus(summary.width).low > 0]
    owner = f" of {row['label']}" if len(tied) > 1 else ""
    middle = f"98 % of tokens{owner} between {ends[0]} and {ends[1]} nats"
    if len(ridges) == 1:
        return f"{row['label']} against the baseline, token by token: {middle}"
    if len(every) == 1:
        names = formats.listing([item["label"] for item, _ in ridges])
        return f"{names} are identical, token by token: {middle}"
    if len(tied) > 1:
        names = formats.listing([row["label"], *(label for label in tied if label != row["label"])])
        return f"{names} are tied for closest to the baseline, token by token: {middle}"
    return f"{row['label']} stays closest to the baseline, token by token: {middle}"


def insights(scope: Scope) -> list[Insight]:
    """Compare widths at one type, the share near zero, tails and centres; name what is not drawn."""
    ridges = _ridges(scope)
    if not ridges:
        return [NOTHING]
    result = [*_methods(ridges), _near_zero(ridges), _tails(ridges), _centre(ridges)]
    passing = complete(scope.rows)
    kept = one_place(passing)
    if len(ridges) < len(kept):
        text = f"{len(ridges)} of {len(kept)} selected variants are drawn."
        result.append(
            Insight(text, "note", f"variants with per-token data, of at most {_MOST_ROWS} quant types")
        )
    return [*result, *elsewhere(passing, kept)]


def _methods(ridges: Sequence[Ridge]) -> list[Insight]:
    """Compare widths at the quant type most methods share."""
    of = _by_variant(ridges)
    rows = one_type([row for row, _ in ridges])
    if len(rows) < 2:
        return [Insight("Only one method is shown: there are no widths to compare.", "unknown")]
    ordered = sorted(rows, key=lambda row: of[row["variant_id"]].width.value)
    widths = [of[row["variant_id"]].width for row in ordered]
    numbers = [
        f"{row['label']} {formats.with_error(width.value, width.half)}"
        for row, width in zip(ordered, widths, strict=True)
    ]
    detail = f"p1 to p99 in nats: {'; '.join(numbers)}"
    tied = [
        row["method"]
        for row, width in zip(ordered[1:], widths[1:], strict=True)
        if not width.minus(widths[0]).low > 0
    ]
    place = place_name(rows)
    if len({(width.value, width.se) for width in widths}) == 1:
        names = formats.listing([row["method"] for row in ordered])
        return [Insight(f"At {place}, {names} are equally wide.", "tie", detail)]
    if tied:
        names = formats.listing([ordered[0]["method"], *tied])
        return [Insight(f"At {place}, {names} are equally wide within the error.", "tie", detail)]
    return [Insight(f"At {place}, {ordered[0]['method']} has the narrowest distribution.", "finding", detail)]


def _near_zero(ridges: Sequence[Ridge]) -> Insight:
    best = max(ridges, key=lambda ridge: ridge[1].near_zero.value)
    worst = min(ridges, key=lambda ridge: ridge[1].near_zero.value)
    text = f"{best[0]['label']} leaves {formats.percent(best[1].near_zero.value)} of tokens within ±0.05 nats"
    other = f", {worst[0]['label']} {formats.percent(worst[1].near_zero.value)}" if worst is not best else ""
    half = formats.percent(max(best[1].near_zero.half, worst[1].near_zero.half))
    return Insight(f"{text}{other}.", "finding", f"± {half} at most; {formats.count(best[1].n)} tokens")


def _tails(ridges: Sequence[Ridge]) -> Insight:
    """Compare tails by p1–p99 width over interquartile range; 3.45 for a normal distribution."""
    ratios = [
        (row["label"], summary.width.value / summary.iqr.value)
        for row, summary in ridges
        if summary.iqr.value > 0
    ]
    if not ratios:
        return Insight("The quartiles are equal, so tails cannot be compared.", "unknown")
    label, ratio = max(ratios, key=lambda item: item[1])
    times = formats.number(ratio, 2)
    text = f"{label} has the heaviest tails: p1–p99 is {times} × the interquartile range."
    if len(ratios) == 1:
        text = f"Tails: p1–p99 of {label} is {times} × the interquartile range."
    return Insight(
        text,
        "finding",
        "3.45 × for a normal distribution; more means that a few tokens change far more than most",
    )


def _centre(ridges: Sequence[Ridge]) -> Insight:
    row, summary = min(ridges, key=lambda ridge: ridge[1].percentiles[50].value)
    median = summary.percentiles[50]
    value = formats.with_error(median.value, median.half)
    change = "gets less probable" if median.high < -0.01 else "hardly changes"
    text = f"The lowest median is {value} nats ({row['label']}): the typical token {change}."
    if len(ridges) == 1:
        text = f"The median is {value} nats: the typical token {change}."
    return Insight(text, "finding")


def _tells(scope: Scope) -> Telling:
    """Tell the range of the middle 98 % of a variant's tokens."""

    def middle(row: Row) -> str:
        known = scope.delta(str(row["variant_id"]))
        ends = [formats.signed(known.percentiles[mark].value, 2) for mark in (1.0, 99.0)] if known else []
        return f"{' to '.join(ends)} nats" if ends else ""

    return Telling("98 % of tokens", middle)


VIEW = View(
    id="delta-logp",
    tells=_tells,
    number=7,
    tab="Δ log p",
    title="Δ log p of the correct token",
    caption="Distribution over tokens of log p(variant) − log p(baseline) of the correct token. One lane per "
    "quant type with the methods overlaid, scaled to equal height. Marks below: p1, median and p99. The linear scale "
    "shows the middle 99 % of tokens; the symmetric log scale, linear within ±0.02 nats, the middle 99.9 %.",
    headline=headline,
    draw=figure,
    insights=insights,
    data=distributions,
    absent=absent_tokens,
    options=(_SCALE,),
    claims=claims_of("delta-logp"),
)
