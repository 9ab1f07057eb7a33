"""View 8: several qualities at once, each against a fixed reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from dashboard import charts, formats
from dashboard.charts import Row
from dashboard.insights import Insight
from dashboard.insights.comparison import NOTHING
from dashboard.results import Results
from dashboard.selection import Selection
from dashboard.theme import translucent
from dashboard.views import View

_MOST_TRACES = 6


@dataclass(frozen=True)
class Axis:
    """One spoke: `score` gives 0–1 or None where it was not measured, `raw` the value behind it."""

    name: str
    reference: str
    score: Callable[[Row], float | None]
    raw: Callable[[Row], str]


def axes(results: Results) -> list[Axis]:
    """At most six spokes; the references come from the whole folder, so filters never rescale them."""
    rows = results.measured.to_dicts()
    smallest = min(row["size_bytes"] for row in rows) if rows else 1
    efficient = max((r["inv_ppl_per_mb"] for r in charts.complete(rows, "inv_ppl_per_mb")), default=None)
    fastest = min((r["decode_ms_p50"] for r in charts.complete(rows, "decode_ms_p50")), default=None)
    found = [
        Axis(
            "perplexity",
            "baseline = 100 %",
            lambda r: None if r["ln_ppl_ratio"] is None else min(1.0, math.exp(-r["ln_ppl_ratio"])),
            lambda r: f"PPL {formats.number(r['ppl'], 4)}",
        ),
        Axis(
            "fidelity",
            "exp(−mean KLD); baseline = 100 %",
            lambda r: None if r["kld_mean"] is None else math.exp(-max(0.0, r["kld_mean"])),
            lambda r: f"mean KLD {formats.number(r['kld_mean'])} nats",
        ),
        Axis(
            "same top token",
            "baseline = 100 %",
            lambda r: r["same_top"],
            lambda r: f"same top {formats.percent(r['same_top'])}",
        ),
        Axis(
            "small size",
            f"smallest file measured, {formats.size(smallest)} = 100 %",
            lambda r: float(smallest / r["size_bytes"]),
            lambda r: formats.size(r["size_bytes"]),
        ),
    ]
    if efficient:
        best = efficient
        found.append(
            Axis(
                "efficiency",
                f"best 1/PPL/MB measured, {formats.number(1e5 * best)} × 10⁻⁵ = 100 %",
                lambda r: None if r["inv_ppl_per_mb"] is None else float(r["inv_ppl_per_mb"] / best),
                lambda r: f"1/PPL/MB {formats.number(1e5 * r['inv_ppl_per_mb'])} × 10⁻⁵",
            )
        )
    if fastest:
        quickest = fastest
        found.append(
            Axis(
                "decode speed",
                f"fastest measured, {formats.number(quickest)} ms = 100 %",
                lambda r: float(quickest / r["decode_ms_p50"]) if r["decode_ms_p50"] else None,
                lambda r: f"decode {formats.number(r['decode_ms_p50'])} ms per token",
            )
        )
    return found


def mean_score(row: Row, spokes: Sequence[Axis]) -> float:
    """Geometric mean of the measured scores: a weak spoke cannot be bought back by a strong one."""
    scores = [score for score in (axis.score(row) for axis in spokes) if score is not None and score > 0]
    return math.exp(sum(math.log(score) for score in scores) / len(scores)) if scores else 0.0


def traces(results: Results, selection: Selection) -> list[Row]:
    """All picked variants when there are at most six, else each method's best by `mean_score`."""
    rows = charts.complete(results.select(selection).to_dicts(), "ln_ppl_ratio")
    if len(rows) <= _MOST_TRACES:
        return rows
    spokes = axes(results)
    best = [
        max(group, key=lambda row: (mean_score(row, spokes), row["variant_id"]))
        for group in charts.by_method(rows).values()
    ]
    return sorted(best, key=lambda row: -mean_score(row, spokes))[:_MOST_TRACES]


def figure(results: Results, selection: Selection) -> go.Figure:
    """Draw a closed line per variant over the spokes, 0–100 %."""
    rows, spokes = traces(results, selection), axes(results)
    if not rows:
        return charts.message_figure("No selected variant was compared with the baseline")
    drawn = go.Figure()
    dashes = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
    seen: dict[str, int] = {}
    for row in rows:
        style = results.styles[row["method"]]
        nth = seen.setdefault(row["method"], 0)
        seen[row["method"]] += 1
        measured = [(axis, axis.score(row)) for axis in spokes]
        known = [(axis, score) for axis, score in measured if score is not None]
        closed = [*known, known[0]]
        drawn.add_scatterpolar(
            theta=[axis.name for axis, _ in closed],
            r=[100 * score for _, score in closed],
            name=row["label"],
            mode="lines+markers",
            line={"color": style.color, "width": 2, "dash": dashes[nth % len(dashes)]},
            marker=charts.marker(style, 7),
            fill="toself" if len(rows) <= 3 else "none",
            fillcolor=translucent(style.color, 0.08),
            hovertext=[_hover(row, axis, score) for axis, score in closed],
            hoverinfo="text",
        )
    drawn.update_layout(
        polar={
            "radialaxis": {"range": [0, 100], "ticksuffix": " %", "tickvals": [25, 50, 75, 100], "angle": 90},
            "angularaxis": {"direction": "clockwise", "rotation": 90},
        },
        margin={"t": 66, "b": 34, "l": 84, "r": 84},
    )
    drawn.update_layout(legend={"y": 1.08})
    drawn.update_polars(radialaxis_tickangle=90, radialaxis_tickfont_size=10)
    return drawn


def _hover(row: Row, axis: Axis, score: float) -> str:
    return (
        f"<b>{row['label']}</b><br>{axis.name} {formats.percent(score)}<br>{axis.raw(row)}<br>"
        + axis.reference
    )


def headline(results: Results, selection: Selection) -> str:
    """Whether one variant leads every spoke."""
    rows, spokes = traces(results, selection), axes(results)
    if not rows:
        return "No selected variant was compared with the baseline"
    if len(rows) == 1:
        return f"{rows[0]['label']} alone is selected: nothing to compare with"
    winners = _leaders(rows, spokes)
    names = {winner["label"] for winner in winners.values()}
    if len(names) == 1:
        return f"{names.pop()} leads on every axis shown"
    leading = f"{len(names)} of {len(rows)}"
    return f"No variant leads everywhere: {leading} lead on at least one of {len(winners)} axes"


def _leaders(rows: Sequence[Row], spokes: Sequence[Axis]) -> dict[str, Row]:
    winners = {}
    for axis in spokes:
        scored = [(score, row) for row in rows if (score := axis.score(row)) is not None]
        if scored:
            winners[axis.name] = max(scored, key=lambda item: (item[0], item[1]["variant_id"]))[1]
    return winners


def insights(results: Results, selection: Selection) -> list[Insight]:
    """Leaders per axis, dominated variants, and how the variants were chosen."""
    rows, spokes = traces(results, selection), axes(results)
    if not rows:
        return [NOTHING]
    leads: dict[str, list[str]] = {}
    for name, row in _leaders(rows, spokes).items():
        leads.setdefault(str(row["label"]), []).append(name)
    found = [
        Insight(f"{label} leads on {formats.listing(names, 6)}.", "finding") for label, names in leads.items()
    ]
    found += _dominated(rows, spokes)
    total = results.select(selection).height
    if len(rows) < total:
        text = f"Shown: each method's best trade-off, {formats.listing([r['label'] for r in rows], 6)}."
        rule = f"highest geometric mean of the axes; {total} variants are selected"
        found.append(Insight(text, "caution", rule))
    unmeasured = "" if any(axis.name == "decode speed" for axis in spokes) else "; speed was not measured"
    references = "; ".join(f"{axis.name}: {axis.reference}" for axis in spokes)
    found.append(Insight(f"Scores are relative to fixed references{unmeasured}.", "caution", references))
    return found


def _dominated(rows: Sequence[Row], spokes: Sequence[Axis]) -> list[Insight]:
    beaten = []
    for row in rows:
        for other in rows:
            pairs = [(axis.score(row), axis.score(other)) for axis in spokes]
            known = [(a, b) for a, b in pairs if a is not None and b is not None]
            if other is not row and known and all(b > a for a, b in known):
                beaten.append(f"{row['label']} (by {other['label']})")
                break
    if not beaten:
        return [Insight("None of the shown variants is behind another on every axis.", "finding")]
    return [Insight(f"Behind on every axis: {formats.listing(beaten)}.", "finding", "by measured values")]


VIEW = View(
    id="radar",
    number=8,
    tab="Radar",
    title="Several metrics at once",
    caption="Each axis runs from 0 to 100 % of a fixed reference: the baseline for quality, the smallest, "
    "most efficient or fastest measured variant for the others. Filters do not move the references.",
    headline=headline,
    figure=figure,
    insights=insights,
)
