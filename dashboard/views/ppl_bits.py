"""View 1: perplexity against bits per weight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import plotly.graph_objects as go

from dashboard import charts, formats
from dashboard.charts import Row
from dashboard.insights import Insight
from dashboard.insights.comparison import (
    NOTHING,
    matched_bits,
    monotone,
    steadiest,
    within_noise,
)
from dashboard.insights.recommender import within
from dashboard.insights.statistics import slope
from dashboard.results import Results
from dashboard.selection import Selection
from dashboard.views import View

_SAFE = 0.01
_LOW_BITS = 3.0


def figure(results: Results, selection: Selection) -> go.Figure:
    """PPL on a log axis with ±1.96 standard errors, a line per method, the baseline with its band."""
    rows = [r for r in charts.complete(results.select(selection).to_dicts(), "ppl") if r["ppl"] > 0]
    base = results.baseline["ppl"]
    if not rows:
        return charts.message_figure("No selected variant has a perplexity")
    drawn = go.Figure()
    bars = charts.half_widths(rows, "ppl_se")
    values = [row["ppl"] + bar for row, bar in zip(rows, bars, strict=True)]
    values += [max(row["ppl"] - bar, 0.5 * row["ppl"]) for row, bar in zip(rows, bars, strict=True)]
    values += [base] if isinstance(base, float) else []
    y_axis = charts.log_axis(values)
    x_range = charts.bits_range(rows)
    labels = charts.labels_by_row(
        rows,
        [r["bits_per_weight"] for r in rows],
        [math.log10(r["ppl"]) for r in rows],
        x_range,
        y_axis["range"],
    )
    charts.add_baseline_level(drawn, results)
    for method, group in charts.by_method(rows).items():
        style = results.styles[method]
        drawn.add_scatter(
            x=[r["bits_per_weight"] for r in group],
            y=[r["ppl"] for r in group],
            error_y=charts.error_bars(style, charts.half_widths(group, "ppl_se")),
            name=method,
            mode="lines+markers+text",
            line={"color": style.color, "width": 2},
            marker=charts.marker(style),
            hovertext=[charts.quality_lines(r) for r in group],
            **charts.labelled(group, labels),
        )
    drawn.update_layout(showlegend=True)
    drawn.update_xaxes(title_text="bits per weight (measured)", range=x_range)
    drawn.update_yaxes(title_text="perplexity (log scale)", **y_axis)
    return drawn


def headline(results: Results, selection: Selection) -> str:
    """Name the smallest variant that surely stays within 1 % of the baseline's perplexity."""
    rows = charts.complete(results.select(selection).to_dicts(), "ln_ppl_ratio")
    if not rows:
        return "No selected variant has a perplexity"
    safe = within(rows, _SAFE)
    if safe:
        best = min(safe, key=lambda row: (row["bits_per_weight"], row["variant_id"]))
        return f"{best['label']} is the smallest within 1 % of the baseline's perplexity ({_bits(best)})"
    nearest = min(rows, key=lambda row: (row["ln_ppl_ratio"], row["variant_id"]))
    change = formats.percent_change(nearest["ln_ppl_ratio"], 1)
    return (
        f"None is sure to stay within 1 % of the baseline's perplexity; nearest: {nearest['label']}, {change}"
    )


def _bits(row: Row) -> str:
    return formats.bits(row["bits_per_weight"])


def insights(results: Results, selection: Selection) -> list[Insight]:
    """Trend over bits, neighbours out of order, equal-bits comparison, low bits, the dearest step."""
    rows = charts.complete(results.select(selection).to_dicts(), "ln_ppl_ratio")
    if not rows:
        return [NOTHING]
    steady = steadiest(rows)
    found = [*monotone(results, rows), matched_bits(rows)]
    found += [steady] if steady is not None else []
    return [*found, _low_bits(rows), *_dearest_step(rows), within_noise(rows)]


def _low_bits(rows: Sequence[Row]) -> Insight:
    """Tell whether the slope below 3 bits is steeper than above."""
    least = min(rows, key=lambda row: row["bits_per_weight"])
    if least["bits_per_weight"] >= _LOW_BITS:
        text = f"Nothing below 3 bits is selected: the smallest, {least['label']}, has {_bits(least)}."
        return Insight(text, "unknown", "what happens below 3 bits cannot be told")
    steps = []
    for method, group in charts.by_method(rows).items():
        above = [row for row in group if row["bits_per_weight"] >= _LOW_BITS]
        below = [row for row in group if row["bits_per_weight"] < _LOW_BITS]
        trend = slope([r["bits_per_weight"] for r in above], [r["ln_ppl_ratio"] for r in above])
        if below and trend is not None:
            first, last = above[0], below[-1]
            step = _per_bit(last, first)
            steps.append(
                f"{method} {formats.percent(step, 0)} per bit below, {formats.percent(-trend.value, 1)} above"
            )
    if not steps:
        return Insight("Too few variants above 3 bits to say whether it is steeper below.", "unknown")
    cost = formats.percent_change(least["ln_ppl_ratio"], 0)
    return Insight(
        f"Below 3 bits the price is {cost} perplexity ({least['label']}).", "finding", "; ".join(steps)
    )


def _per_bit(lower: Row, higher: Row) -> float:
    bits = float(higher["bits_per_weight"] - lower["bits_per_weight"])
    return float(lower["ln_ppl_ratio"] - higher["ln_ppl_ratio"]) / bits if bits > 0 else 0.0


def _dearest_step(rows: Sequence[Row]) -> list[Insight]:
    """Where each method's curve bends: the neighbouring step that costs most per bit saved."""
    found = []
    for method, group in charts.by_method(rows).items():
        if len(group) < 3:
            continue
        lower, higher = max(pairwise(group), key=lambda pair: _per_bit(*pair))
        text = f"{method}: the dearest step is {higher['quant']} → {lower['quant']}"
        cost = formats.percent_change(lower["ln_ppl_ratio"] - higher["ln_ppl_ratio"], 1)
        saved = formats.bits(higher["bits_per_weight"] - lower["bits_per_weight"])
        found.append(Insight(f"{text}: {cost} perplexity for {saved} saved.", "finding"))
    return found


VIEW = View(
    id="ppl-bits",
    number=1,
    tab="PPL · bits",
    title="Perplexity against bits per weight",
    caption="Perplexity of the scored tokens (lower is better), ±1.96 standard errors over tokens; bits per "
    "weight are the file's tensor bytes, not the nominal type. "
    "The dashed line is the baseline with its band.",
    headline=headline,
    figure=figure,
    insights=insights,
)
