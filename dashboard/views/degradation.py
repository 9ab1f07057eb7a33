"""View 2: what is lost against the baseline, paired over the same tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard import charts, formats
from dashboard.charts import Row
from dashboard.insights import Insight
from dashboard.insights.comparison import NOTHING, divergence, log_ratio, matched_bits
from dashboard.insights.statistics import Z95, Estimate, slope
from dashboard.results import Results
from dashboard.selection import Selection
from dashboard.theme import BASELINE, MethodStyle
from dashboard.views import View

_EIGHT = 7.5
_FOUR = (4.0, 5.0)


def figure(results: Results, selection: Selection) -> go.Figure:
    """Change of PPL (paired errors) above mean KLD (log axis, errors clustered by window), against bits."""
    rows = charts.complete(results.select(selection).to_dicts(), "ln_ppl_ratio")
    if not rows:
        return charts.message_figure("No selected variant was compared with the baseline")
    drawn = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.07, row_heights=[0.5, 0.5])
    for method, group in charts.by_method(rows).items():
        style = results.styles[method]
        changes = [log_ratio(row) for row in group]
        _add(drawn, 1, style, group, [100 * math.expm1(e.value) for e in changes])
        drawn.data[-1].error_y = charts.error_bars(
            style,
            [100 * (math.exp(e.high) - math.exp(e.value)) if math.isfinite(e.se) else 0.0 for e in changes],
            [100 * (math.exp(e.value) - math.exp(e.low)) if math.isfinite(e.se) else 0.0 for e in changes],
        )
        positive = [row for row in charts.complete(group, "kld_mean") if row["kld_mean"] > 0]
        _add(drawn, 2, style, positive, [row["kld_mean"] for row in positive])
        upper, lower = _log_bars([divergence(row) for row in positive])
        drawn.data[-1].error_y = charts.error_bars(style, upper, lower)
    drawn.add_hline(y=0, line={"color": BASELINE.color, "dash": "dash", "width": 1.5}, row=1, col=1)
    drawn.update_xaxes(range=charts.bits_range(rows))
    drawn.update_xaxes(title_text="bits per weight (measured)", row=2, col=1)
    drawn.update_yaxes(title_text="change of perplexity", ticksuffix=" %", row=1, col=1)
    klds = [row["kld_mean"] for row in charts.complete(rows, "kld_mean") if row["kld_mean"] > 0]
    axis = charts.log_axis(klds) if klds else {}
    drawn.update_yaxes(title_text="mean KLD (nats, log)", **axis, row=2, col=1)
    return drawn


def _log_bars(estimates: Sequence[Estimate]) -> tuple[list[float], list[float]]:
    """Upper and lower bars; the lower one never reaches zero, which a log axis cannot show."""
    upper = [Z95 * e.se if math.isfinite(e.se) else 0.0 for e in estimates]
    lower = [min(bar, 0.98 * e.value) for bar, e in zip(upper, estimates, strict=True)]
    return upper, lower


def _add(drawn: go.Figure, panel: int, style: MethodStyle, rows: list[Row], y: list[float]) -> None:
    method = str(rows[0]["method"]) if rows else ""
    drawn.add_scatter(
        x=[row["bits_per_weight"] for row in rows],
        y=y,
        name=method,
        legendgroup=method,
        showlegend=panel == 1,
        mode="lines+markers",
        line={"color": style.color, "width": 2},
        marker=charts.marker(style),
        hovertext=[charts.quality_lines(row) for row in rows],
        hoverinfo="text",
        cliponaxis=False,
        row=panel,
        col=1,
    )


def headline(results: Results, selection: Selection) -> str:
    """Tell what a bit costs: the factor of KLD per bit saved, else the range."""
    rows = [r for r in charts.complete(results.select(selection).to_dicts(), "kld_mean") if r["kld_mean"] > 0]
    if not rows:
        return "No selected variant was compared with the baseline"
    factors = _factors(rows)
    if len(factors) == 1:
        (method, factor), *_ = factors.items()
        times = formats.number(math.exp(-factor.value), 2)
        return f"Every bit saved multiplies the divergence by about {times} ({method})"
    if factors:
        values = sorted(math.exp(-factor.value) for factor in factors.values())
        span = f"{formats.number(values[0], 2)} to {formats.number(values[-1], 2)}"
        return f"Every bit saved multiplies the divergence by {span}, depending on the method"
    worst = max(rows, key=lambda row: row["kld_mean"])
    return f"{worst['label']} diverges most: {formats.number(worst['kld_mean'])} nats per token"


def _factors(rows: Sequence[Row]) -> dict[str, Estimate]:
    """Slope of ln KLD per bit, for methods with at least three variants and a falling curve."""
    slopes = {}
    for method, group in charts.by_method(rows).items():
        trend = slope([r["bits_per_weight"] for r in group], [math.log(r["kld_mean"]) for r in group])
        if trend is not None and trend.high < 0:
            slopes[method] = trend
    return slopes


def insights(results: Results, selection: Selection) -> list[Insight]:
    """State the cost at 8 and at 4 bits, who loses least at equal bits, steepness, and where PPL is blind."""
    rows = charts.complete(results.select(selection).to_dicts(), "ln_ppl_ratio", "kld_mean")
    if not rows:
        return [NOTHING]
    return [matched_bits(rows), _at_eight(rows), _at_four(rows), *_steepness(rows), *_blind_spot(rows)]


def _at_eight(rows: Sequence[Row]) -> Insight:
    high = [row for row in rows if row["bits_per_weight"] >= _EIGHT]
    if not high:
        return Insight(
            "No selected variant has 7.5 bits or more: the cost of 8 bits cannot be told.", "unknown"
        )
    worst = max(high, key=lambda row: log_ratio(row).high)
    kld = max(row["kld_mean"] for row in high)
    bound = formats.percent_change(log_ratio(worst).high)
    text = f"At 7.5 bits and up perplexity rises by at most {bound} (95 % bound, {worst['label']})."
    return Insight(text, "finding", f"variants: {len(high)}; largest mean KLD {formats.number(kld)} nats")


def _at_four(rows: Sequence[Row]) -> Insight:
    four = [row for row in rows if _FOUR[0] <= row["bits_per_weight"] < _FOUR[1]]
    if not four:
        return Insight("No selected variant measures 4 to 5 bits per weight.", "unknown")
    best = max(four, key=lambda row: (-row["ln_ppl_ratio"], row["variant_id"]))
    kept = formats.percent(math.exp(-best["ln_ppl_ratio"]))
    same = (
        f"; the top token stays the same {formats.percent(best['same_top'])} of the time"
        if best["same_top"]
        else ""
    )
    text = f"Between 4 and 5 bits the best, {best['label']}, keeps {kept} relative accuracy{same}."
    return Insight(text, "finding", f"relative accuracy = PPL of the baseline / PPL; variants: {len(four)}")


def _steepness(rows: Sequence[Row]) -> list[Insight]:
    slopes = _factors([row for row in rows if row["kld_mean"] > 0])
    if len(slopes) < 2:
        return []
    steepest = min(slopes, key=lambda method: slopes[method].value)
    tied = [m for m in slopes if m != steepest and not slopes[m].minus(slopes[steepest]).low > 0]
    detail = "; ".join(f"{m} ×{formats.number(math.exp(-s.value), 3)} per bit" for m, s in slopes.items())
    if tied:
        return [
            Insight(
                f"The steepest curve cannot be told: {formats.listing([steepest, *tied])}.", "tie", detail
            )
        ]
    return [Insight(f"{steepest} degrades fastest per bit saved.", "finding", detail)]


def _blind_spot(rows: Sequence[Row]) -> list[Insight]:
    """Variants that perplexity calls equal or better while the distributions moved."""
    hidden = [r for r in rows if log_ratio(r).low <= 0 and divergence(r).low > 0]
    if not hidden:
        return []
    most = max(hidden, key=lambda row: row["kld_mean"])
    text = f"Perplexity sees no loss in {formats.listing([r['label'] for r in hidden])}, KLD does."
    worst = f"{formats.number(most['kld_mean'])} nats per token ({most['label']})"
    detail = f"up to {worst}: gains and losses cancel in PPL"
    return [Insight(text, "caution", detail)]


VIEW = View(
    id="degradation",
    number=2,
    tab="Degradation",
    title="Degradation against the baseline",
    caption="Above: change of perplexity, paired over the same tokens, ±1.96 standard errors. Below: mean KL "
    "divergence from the baseline's distribution over the whole vocabulary, errors clustered by window.",
    headline=headline,
    figure=figure,
    insights=insights,
)
