"""View 4: what a token costs in time, and what it is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go
import polars as pl

from dashboard import charts, formats
from dashboard.charts import Row
from dashboard.insights import Insight
from dashboard.insights.comparison import NOTHING, divergence
from dashboard.insights.statistics import Z95, pareto, rank_correlation
from dashboard.results import Results
from dashboard.selection import Selection
from dashboard.theme import HIGHLIGHT
from dashboard.views import Absent, View, command_for

_FOUR = (4.0, 5.0)


def _rows(results: Results, selection: Selection) -> list[Row]:
    rows = charts.complete(results.select(selection).to_dicts(), "decode_ms_p50", "kld_mean")
    return [row for row in rows if row["kld_mean"] > 0]


def figure(results: Results, selection: Selection) -> go.Figure:
    """Decode time (median, p10–p90) against mean KLD; 4-bit configurations ringed; the Pareto front drawn."""
    rows = _rows(results, selection)
    if not rows:
        return charts.message_figure("No selected variant was timed")
    drawn = go.Figure()
    x = [row["decode_ms_p50"] for row in rows]
    margin = max(0.06 * (max(x) - min(x)), 0.02 * max(x), 0.01)
    x_range = [min(x) - 2 * margin, max(x) + 2 * margin]
    y_axis = charts.log_axis([row["kld_mean"] for row in rows], margin=0.1)
    labels = charts.labels_by_row(
        rows, x, [math.log10(r["kld_mean"]) for r in rows], x_range, y_axis["range"]
    )
    front = sorted(pareto(x, [row["kld_mean"] for row in rows]), key=lambda index: x[index])
    drawn.add_scatter(
        x=[x[index] for index in front],
        y=[rows[index]["kld_mean"] for index in front],
        mode="lines",
        line={"color": "rgba(128,140,160,0.7)", "width": 1.5, "dash": "dot"},
        name="no faster variant is closer",
        hoverinfo="skip",
    )
    four = [row for row in rows if _FOUR[0] <= row["bits_per_weight"] < _FOUR[1]]
    if four:
        drawn.add_scatter(
            x=[row["decode_ms_p50"] for row in four],
            y=[row["kld_mean"] for row in four],
            mode="markers",
            marker={"size": 24, "color": HIGHLIGHT, "line": {"width": 1.5, "color": "rgba(128,140,160,0.8)"}},
            name="4 to 5 bits",
            hoverinfo="skip",
        )
    for method, group in charts.by_method(rows).items():
        drawn.add_trace(_points(results, method, group, labels))
    drawn.update_xaxes(title_text="decode time per token (ms, median)", range=x_range)
    drawn.update_yaxes(title_text="mean KLD (nats, log)", **y_axis)
    return drawn


def _points(
    results: Results, method: str, group: list[Row], labels: dict[str, tuple[str, str]]
) -> go.Scatter:
    style = results.styles[method]
    upper = [max(0.0, (r["decode_ms_p90"] or r["decode_ms_p50"]) - r["decode_ms_p50"]) for r in group]
    lower = [max(0.0, r["decode_ms_p50"] - (r["decode_ms_p10"] or r["decode_ms_p50"])) for r in group]
    kld = [divergence(r) for r in group]
    bars = [Z95 * e.se if math.isfinite(e.se) else 0.0 for e in kld]
    return go.Scatter(
        x=[r["decode_ms_p50"] for r in group],
        y=[r["kld_mean"] for r in group],
        error_x=charts.error_bars(style, upper, lower),
        error_y=charts.error_bars(
            style, bars, [min(b, 0.98 * e.value) for b, e in zip(bars, kld, strict=True)]
        ),
        name=method,
        mode="markers+text",
        marker=charts.marker(style, 10),
        hovertext=[f"{charts.quality_lines(r)}<br>{_speed_lines(r)}" for r in group],
        **charts.labelled(group, labels),
    )


def _speed_lines(row: Row) -> str:
    lines = [f"decode {formats.number(row['decode_ms_p50'])} ms per token"]
    if row["decode_ms_p10"] is not None and row["decode_ms_p90"] is not None:
        lines[0] += (
            f" (p10–p90 {formats.number(row['decode_ms_p10'])}–{formats.number(row['decode_ms_p90'])})"
        )
    if row["prefill_tps"] is not None:
        lines.append(f"prefill {formats.number(row['prefill_tps'])} tokens/s")
    if row["load_s"] is not None:
        lines.append(f"load {formats.number(row['load_s'])} s")
    return "<br>".join(lines)


def headline(results: Results, selection: Selection) -> str:
    """Name the fastest variant, and whether that lead stands out of its spread."""
    rows = sorted(_rows(results, selection), key=lambda row: (row["decode_ms_p50"], row["variant_id"]))
    if not rows:
        return "No selected variant was timed"
    fastest = rows[0]
    tied = [row["label"] for row in rows[1:] if _tied(fastest, row)]
    speed = f"{formats.number(fastest['decode_ms_p50'])} ms per token"
    if tied:
        return f"{fastest['label']} decodes at {speed}, not to be told from {formats.listing(tied, 3)}"
    return f"{fastest['label']} decodes fastest, at {speed}"


def _tied(fast: Row, slow: Row) -> bool:
    """Whether the p10–p90 ranges of two timings overlap."""
    high = fast["decode_ms_p90"] if fast["decode_ms_p90"] is not None else fast["decode_ms_p50"]
    low = slow["decode_ms_p10"] if slow["decode_ms_p10"] is not None else slow["decode_ms_p50"]
    return bool(low <= high)


def insights(results: Results, selection: Selection) -> list[Insight]:
    """Who is on the front, whether fewer bits are faster, what 4 bits give, how often it was timed."""
    rows = _rows(results, selection)
    if not rows:
        return [NOTHING]
    front = [rows[i] for i in pareto([r["decode_ms_p50"] for r in rows], [r["kld_mean"] for r in rows])]
    names = [row["label"] for row in sorted(front, key=lambda row: row["decode_ms_p50"])]
    text = f"Worth running for speed: {formats.listing(names, 6)}."
    found = [Insight(text, "finding", "no other selected variant is both faster and closer to the baseline")]
    found += [_bits_and_speed(rows), *_four_bits(rows, front), _repetitions(results, rows)]
    return found


def _bits_and_speed(rows: Sequence[Row]) -> Insight:
    rho = rank_correlation([r["bits_per_weight"] for r in rows], [r["decode_ms_p50"] for r in rows])
    if rho is None:
        return Insight("Too few timed variants to relate bits and speed.", "unknown")
    detail = f"Spearman ρ of bits per weight and decode time = {formats.number(rho, 2)}, {len(rows)} variants"
    if rho > 0.5:
        return Insight("Fewer bits decode faster here.", "finding", detail)
    return Insight(
        "Fewer bits do not mean faster decoding here: the format's kernel decides.", "caution", detail
    )


def _four_bits(rows: Sequence[Row], front: Sequence[Row]) -> list[Insight]:
    four = [row for row in rows if _FOUR[0] <= row["bits_per_weight"] < _FOUR[1]]
    if not four:
        return [Insight("No timed variant measures 4 to 5 bits.", "unknown")]
    on_front = [row["label"] for row in four if row in front]
    if on_front:
        return [
            Insight(f"Of the 4-bit configurations, {formats.listing(on_front)} lie on the front.", "finding")
        ]
    return [Insight("No 4-bit configuration lies on the front: others are faster and closer.", "finding")]


def _repetitions(results: Results, rows: Sequence[Row]) -> Insight:
    speed = results.speed()
    device = f"{rows[0]['device']}, {results.manifest.threads} threads"
    if speed is None:
        return Insight(f"Timed on {device}; single repetitions were not kept.", "caution")
    ids = [row["variant_id"] for row in rows]
    decode = speed.filter(pl.col("phase").cast(pl.String) == "decode", pl.col("variant_id").is_in(ids))
    counts = decode.group_by("variant_id").len().collect()["len"]
    least = int(counts.min() or 0)  # type: ignore[arg-type]  # a count column's minimum
    return Insight(
        f"Timed on {device}, at least {least} decode repetitions each.", "finding", "bars are p10 to p90"
    )


def _absent(results: Results) -> Absent | None:
    if results.measured["decode_ms_p50"].is_not_null().any():
        return None
    return Absent(
        "decode, prefill and load times of packed weights (speed.parquet), which this version of the evaluator "
        "does not export yet; one that does adds them with the same command, without --no-speed",
        command_for(results),
    )


VIEW = View(
    id="speed",
    number=4,
    tab="Speed",
    title="Speed against accuracy",
    caption="Median decode time per token of the packed artifact with its p10 to p90 range, against the mean "
    "KL divergence from the baseline. Lower left is better; variants of 4 to 5 measured bits are ringed.",
    headline=headline,
    figure=figure,
    insights=insights,
    absent=_absent,
)
