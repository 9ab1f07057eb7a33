"""View 7: how far the probability of the right token moves, token by token."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from dashboard import charts, formats
from dashboard.charts import Row
from dashboard.insights import Insight
from dashboard.insights.comparison import NOTHING
from dashboard.results import Results
from dashboard.selection import Selection
from dashboard.theme import BASELINE, translucent
from dashboard.token_summaries import DeltaSummary
from dashboard.views import View, absent_tokens

_HEIGHT = 0.88
_MOST = 24

Ridge = tuple[Row, DeltaSummary]


def _ridges(results: Results, selection: Selection) -> list[Ridge]:
    """Fewest bits first, so that the widest distributions stand together."""
    rows = sorted(
        results.select(selection).to_dicts(),
        key=lambda r: (r["bits_per_weight"], r["method"], r["variant_id"]),
    )
    pairs = [(row, results.delta(str(row["variant_id"]))) for row in rows]
    return [(row, summary) for row, summary in pairs if summary is not None][:_MOST]


def figure(results: Results, selection: Selection) -> go.Figure:
    """Draw a ridge per variant, each scaled to the same height; p1, p50 and p99 marked; zero drawn."""
    ridges = _ridges(results, selection)
    if not ridges:
        return charts.message_figure("No selected variant has token frames")
    drawn = go.Figure()
    shown: set[str] = set()
    for index, (row, summary) in enumerate(ridges):
        style = results.styles[row["method"]]
        level = len(ridges) - 1 - index
        height = _HEIGHT / float(summary.density.max())
        drawn.add_scatter(
            x=[*summary.x, *summary.x[::-1]],
            y=[*(level + height * summary.density), *([level] * summary.x.size)],
            mode="lines",
            fill="toself",
            fillcolor=translucent(style.color, 0.35),
            line={"color": style.color, "width": 1.2},
            name=row["method"],
            legendgroup=row["method"],
            showlegend=row["method"] not in shown,
            hoverinfo="skip",
        )
        shown.add(row["method"])
        drawn.add_trace(_marks(row, summary, level, style.color))
    drawn.add_vline(x=0, line={"color": BASELINE.color, "width": 1.2, "dash": "dash"})
    reach = max(max(abs(s.percentiles[1]), abs(s.percentiles[99])) for _, s in ridges)
    drawn.update_xaxes(title_text="Δ log p of the correct token (nats): left of 0 is worse than the baseline")
    drawn.update_xaxes(range=[-1.08 * reach, 1.08 * reach])
    drawn.update_yaxes(
        tickvals=[len(ridges) - 1 - index for index in range(len(ridges))],
        ticktext=[row["label"] for row, _ in ridges],
        tickfont={"size": 11 if len(ridges) <= 14 else 9},
        ticks="",
        showline=False,
        range=[-0.25, len(ridges) + 0.05],
    )
    return drawn


def _marks(row: Row, summary: DeltaSummary, level: int, color: str) -> go.Scatter:
    marks = {"p1": 1.0, "median": 50.0, "p99": 99.0}
    text = [
        f"<b>{row['label']}</b><br>{name} {formats.signed(summary.percentiles[mark])} nats<br>"
        f"{formats.percent(summary.near_zero)} within ±0.05 nats<br>"
        f"{formats.percent(summary.beyond)} beyond the drawn range<br>{formats.count(summary.n)} tokens"
        for name, mark in marks.items()
    ]
    return go.Scatter(
        x=[summary.percentiles[mark] for mark in marks.values()],
        y=[level] * len(marks),
        mode="markers",
        marker={"symbol": ["line-ns", "diamond", "line-ns"], "size": 9, "color": color, "line": {"width": 2}},
        marker_line_color=color,
        showlegend=False,
        hovertext=text,
        hoverinfo="text",
    )


def headline(results: Results, selection: Selection) -> str:
    """Name the narrowest distribution."""
    ridges = _ridges(results, selection)
    if not ridges:
        return "No selected variant has token frames"
    row, summary = min(ridges, key=lambda ridge: (ridge[1].width, ridge[0]["variant_id"]))
    side = f"98 % of tokens within {formats.number(summary.width, 2)} nats"
    return f"{row['label']} stays closest to the baseline, token by token: {side}"


def insights(results: Results, selection: Selection) -> list[Insight]:
    """Width, tails and centre of the distributions, and what is not drawn."""
    ridges = _ridges(results, selection)
    if not ridges:
        return [NOTHING]
    found = [_near_zero(ridges), *_methods(ridges), _tails(ridges), _centre(ridges)]
    beyond = max(summary.beyond for _, summary in ridges)
    text = f"At most {formats.percent(beyond)} of a variant's tokens lie beyond the drawn curve."
    found.append(Insight(text, "caution", "curves cover the middle 99 % of each variant's tokens"))
    total = results.select(selection).height
    if len(ridges) < total:
        text = f"{len(ridges)} of {total} selected variants are drawn."
        found.append(Insight(text, "caution", f"those with token frames, at most {_MOST}, fewest bits first"))
    return found


def _near_zero(ridges: Sequence[Ridge]) -> Insight:
    best = max(ridges, key=lambda ridge: ridge[1].near_zero)
    worst = min(ridges, key=lambda ridge: ridge[1].near_zero)
    text = f"{best[0]['label']} leaves {formats.percent(best[1].near_zero)} of tokens within ±0.05 nats"
    tail = f", {worst[0]['label']} {formats.percent(worst[1].near_zero)}" if worst is not best else ""
    return Insight(f"{text}{tail}.", "finding", f"{formats.count(best[1].n)} tokens")


def _methods(ridges: Sequence[Ridge]) -> list[Insight]:
    """Widths at the quant type most methods share; 10 % apart counts as different."""
    by_quant: dict[str, dict[str, DeltaSummary]] = {}
    for row, summary in ridges:
        by_quant.setdefault(row["quant"], {})[row["method"]] = summary
    quant, found = max(by_quant.items(), key=lambda item: (len(item[1]), item[0] == "Q4_K_M", item[0]))
    if len(found) < 2:
        return [Insight("One method alone: widths cannot be compared between methods.", "unknown")]
    ordered = sorted(found, key=lambda method: found[method].width)
    best, second = found[ordered[0]], found[ordered[1]]
    detail = "; ".join(f"{m} p1–p99 {formats.number(found[m].width)} nats" for m in ordered)
    if second.width < 1.1 * best.width:
        return [Insight(f"At {quant}, {ordered[0]} and {ordered[1]} are about equally wide.", "tie", detail)]
    return [Insight(f"At {quant}, {ordered[0]} has the narrowest distribution.", "finding", detail)]


def _tails(ridges: Sequence[Ridge]) -> Insight:
    """Tail weight: p1–p99 width over the quartiles' distance; 3.45 for a normal distribution."""
    ratios = [(row["label"], summary.width / summary.iqr) for row, summary in ridges if summary.iqr > 0]
    if not ratios:
        return Insight("The quartiles coincide, so tails cannot be compared.", "unknown")
    label, ratio = max(ratios, key=lambda item: item[1])
    times = formats.number(ratio, 2)
    text = f"{label} has the heaviest tails: p1–p99 is {times} × the quartile distance."
    return Insight(text, "finding", "3.45 × for a normal distribution: a few tokens move far more than most")


def _centre(ridges: Sequence[Ridge]) -> Insight:
    lowest = min(ridges, key=lambda ridge: ridge[1].percentiles[50])
    median = lowest[1].percentiles[50]
    text = f"The lowest median is {formats.signed(median, 2)} nats ({lowest[0]['label']})"
    meaning = "the typical token gets less probable" if median < -0.01 else "the typical token hardly moves"
    return Insight(f"{text}: {meaning}.", "finding")


VIEW = View(
    id="delta-logp",
    number=7,
    tab="Δ log p",
    title="Δ log p of the correct token",
    caption="Distribution over tokens of log p(variant) − log p(baseline) of the token that followed. Curves "
    "are scaled to equal height; ticks mark p1 and p99, diamonds the median; the middle 99 % is drawn.",
    headline=headline,
    figure=figure,
    insights=insights,
    absent=absent_tokens,
)
