"""View 5: file size against 1/PPL, and quality per megabyte."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from dashboard import charts, formats
from dashboard.charts import Row
from dashboard.insights import Insight
from dashboard.insights.comparison import NOTHING, log_ratio
from dashboard.insights.statistics import Z95, pareto
from dashboard.results import Results
from dashboard.selection import Selection
from dashboard.theme import BASELINE
from dashboard.views import View
from evaluator.frames import MEGABYTE

_FLOOR = 0.03
_SCALE = 1e5


def _rows(results: Results, selection: Selection) -> list[Row]:
    return [
        r
        for r in charts.complete(results.select(selection).to_dicts(), "ppl", "inv_ppl_per_mb")
        if r["ppl"] > 0 and r["inv_ppl_per_mb"] > 0
    ]


def figure(results: Results, selection: Selection) -> go.Figure:
    """Size against 1/PPL with errors, over lines of equal 1/PPL/MB."""
    rows = _rows(results, selection)
    if not rows:
        return charts.message_figure("No selected variant has a perplexity and a size")
    drawn = go.Figure()
    giga = max(row["size_bytes"] for row in rows) >= 1000 * MEGABYTE
    unit = 1000 * MEGABYTE if giga else MEGABYTE
    x, y = [row["size_bytes"] / unit for row in rows], [1 / row["ppl"] for row in rows]
    base = results.baseline["ppl"]
    upper = [1 / row["ppl"] + Z95 * (row["ppl_se"] or 0.0) / row["ppl"] ** 2 for row in rows]
    top = max([*upper, 1 / base]) if isinstance(base, float) and base > 0 else max(upper)
    bottom = min(max(0.5 * b, 2 * b - a) for a, b in zip(upper, y, strict=True))
    pad = max(0.06 * (top - bottom), 0.01 * top)
    x_pad = max(0.08 * (max(x) - min(x)), 0.05 * max(x))
    x_range, y_range = [min(x) - x_pad, max(x) + x_pad], [bottom - pad, top + pad]
    labels = charts.labels_by_row(rows, x, y, x_range, y_range)
    _iso_lines(drawn, rows, unit / MEGABYTE, x_range, y_range)
    if isinstance(base, float) and base > 0:
        drawn.add_hline(y=1 / base, line={"color": BASELINE.color, "dash": "dash", "width": 1.5})
        text = f"baseline {results.baseline['quant']} · {formats.number(1 / base, 3)}"
        place = {"x": 0.01, "xref": "paper", "xanchor": "left", "y": 1 / base, "yanchor": "bottom"}
        drawn.add_annotation(text=text, showarrow=False, **place)
    for method, group in charts.by_method(rows).items():
        drawn.add_trace(_points(results, method, group, labels, unit))
    drawn.update_xaxes(title_text=f"file size ({'GB = 10⁹' if giga else 'MB = 10⁶'} bytes)", range=x_range)
    drawn.update_yaxes(title_text="1 / perplexity", range=y_range, tickformat=".3~g")
    return drawn


def _points(
    results: Results, method: str, group: list[Row], labels: dict[str, tuple[str, str]], unit: int
) -> go.Scatter:
    style = results.styles[method]
    errors = [Z95 * (row["ppl_se"] or 0.0) / row["ppl"] ** 2 for row in group]
    return go.Scatter(
        x=[row["size_bytes"] / unit for row in group],
        y=[1 / row["ppl"] for row in group],
        error_y=charts.error_bars(style, errors),
        name=method,
        mode="markers+text",
        marker=charts.marker(style, 10),
        hovertext=[f"{charts.quality_lines(row)}<br>{_efficiency(row)}" for row in group],
        **charts.labelled(group, labels),
    )


def _efficiency(row: Row) -> str:
    return f"1/PPL/MB {formats.number(_SCALE * row['inv_ppl_per_mb'])} × 10⁻⁵"


def _iso_lines(
    drawn: go.Figure, rows: Sequence[Row], mega: float, x_range: Sequence[float], y_range: Sequence[float]
) -> None:
    """Lines of equal 1/PPL/MB through the plot, labelled beside the points."""
    values = [row["inv_ppl_per_mb"] for row in rows]
    low, high = min(values), max(values)
    levels = [low, math.sqrt(low * high), high] if high > 1.15 * low else [high]
    for level in levels:
        slope = level * mega
        start, end = max(x_range[0], y_range[0] / slope), min(x_range[1], y_range[1] / slope)
        if end <= start:
            continue
        line = {"color": "rgba(128,140,160,0.55)", "width": 1, "dash": "dot"}
        ends = {"x": [start, end], "y": [slope * start, slope * end]}
        drawn.add_scatter(**ends, mode="lines", line=line, hoverinfo="skip", showlegend=False)
        under = level == low
        at_x = start + (0.55 if under else 0.9) * (end - start)
        drawn.add_annotation(
            x=at_x,
            y=slope * at_x,
            text=f"{formats.number(_SCALE * level)} × 10⁻⁵ per MB",
            showarrow=False,
            xanchor="left" if under else "right",
            yanchor="top" if under else "bottom",
            font={"size": 10},
        )


def headline(results: Results, selection: Selection) -> str:
    """Name the smallest file above the quality floor, and how much smaller than the baseline it is."""
    rows = _rows(results, selection)
    if not rows:
        return "No selected variant has a perplexity and a size"
    good = [r for r in charts.complete(rows, "ln_ppl_ratio") if math.expm1(log_ratio(r).high) < _FLOOR]
    if not good:
        return f"No file is sure to stay within {formats.percent(_FLOOR, 0)} of the baseline's perplexity"
    best = min(good, key=lambda row: (row["size_bytes"], row["variant_id"]))
    saved = 1 - best["size_bytes"] / _baseline_size(results)
    times = f", {formats.percent(saved, 0)} smaller than the baseline" if saved > 0 else ""
    floor = formats.percent(_FLOOR, 0)
    return f"{best['label']} is the smallest within {floor} of the baseline's perplexity{times}"


def _baseline_size(results: Results) -> int:
    return int(str(results.baseline["size_bytes"]))


def insights(results: Results, selection: Selection) -> list[Insight]:
    """Efficiency with and without a quality floor, the size front, compression."""
    rows = _rows(results, selection)
    if not rows:
        return [NOTHING]
    best = max(rows, key=lambda row: row["inv_ppl_per_mb"])
    smallest = min(rows, key=lambda row: row["size_bytes"])
    efficiency = formats.number(_SCALE * best["inv_ppl_per_mb"])
    found = [
        Insight(
            f"{best['label']} has the highest 1/PPL/MB: {efficiency} × 10⁻⁵.",
            "finding",
            "it is the smallest file, which this ratio nearly always prefers" if best is smallest else "",
        ),
        _above_floor(rows),
        _front(rows),
    ]
    return [*found, _compression(results, smallest)]


def _above_floor(rows: Sequence[Row]) -> Insight:
    good = [r for r in charts.complete(rows, "ln_ppl_ratio") if math.expm1(log_ratio(r).high) < _FLOOR]
    floor = f"perplexity surely within {formats.percent(_FLOOR, 0)} of the baseline (95 % bound)"
    if not good:
        return Insight("No file is both efficient and close to the baseline.", "caution", f"floor: {floor}")
    best = max(good, key=lambda row: (row["inv_ppl_per_mb"], row["variant_id"]))
    return Insight(
        f"Above the quality floor {best['label']} is the most efficient.", "finding", f"floor: {floor}"
    )


def _front(rows: Sequence[Row]) -> Insight:
    front = pareto([row["size_bytes"] for row in rows], [row["ppl"] for row in rows])
    off = [row["label"] for index, row in enumerate(rows) if index not in front]
    if not off:
        return Insight("Every larger file is better: none is both larger and worse than another.", "finding")
    text = f"Larger than another file and no better by perplexity: {formats.listing(off)}."
    return Insight(text, "caution", "by measured values; see the error bars for which differences stand out")


def _compression(results: Results, smallest: Row) -> Insight:
    ratio = _baseline_size(results) / smallest["size_bytes"]
    text = f"The smallest file, {smallest['label']}, takes {formats.size(smallest['size_bytes'])}"
    detail = f"baseline {formats.size(_baseline_size(results))}"
    return Insight(f"{text}: {formats.number(ratio, 3)} × smaller than the baseline.", "finding", detail)


VIEW = View(
    id="size",
    number=5,
    tab="Size",
    title="Model size against 1/PPL",
    caption="Size of the file a user downloads against 1/PPL (higher is better), ±1.96 standard errors. "
    "Dotted lines join points of equal efficiency, 1/PPL per MB of 10⁶ bytes, written × 10⁻⁵.",
    headline=headline,
    figure=figure,
    insights=insights,
)
