"""Draw view 8: several metrics at once, each against a fixed reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dashboard.figures import charts, parallel
from dashboard.figures.drawing import Drawing
from dashboard.figures.scores import Axis, axes
from dashboard.insights import Insight
from dashboard.insights.claims import claims_of
from dashboard.insights.comparison import NOTHING, elsewhere
from dashboard.insights.faults import sound
from dashboard.insights.leaders import MEMORY, leaders
from dashboard.insights.matching import representatives
from dashboard.results.rows import Row, complete, one_place
from dashboard.results.scope import Scope
from dashboard.style import formats
from dashboard.style.names import LEGEND, in_figure
from dashboard.style.theme import translucent
from dashboard.views import Option, View

_FORM = Option("form", "Form", (("radar", "radar"), ("parallel", "parallel coordinates")))
_MOST_TRACES = 6
_ALONE = Insight("Only one variant is shown: select another to compare it with.", "unknown")
_LEAD = "by more than the paired error, the p10–p90 range of speed{}, or 1 % of size"
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def _passing(scope: Scope) -> list[Row]:
    """Return the compared variants of one model on one device."""
    return one_place(complete(scope.rows, "ln_ppl_ratio"))


def traces(scope: Scope) -> list[Row]:
    """Return the picked variants, else all if there are at most six, else one per method."""
    rows = _passing(scope)
    if len(rows) <= _MOST_TRACES and not charts.is_picking(scope.selection, rows):
        return rows
    return representatives(rows, scope.selection, _MOST_TRACES)


def _compared(scope: Scope) -> list[Row]:
    """Return the variants shown: a few on the radar, all on parallel coordinates."""
    if _FORM.of(scope.selection) == "parallel":
        return _passing(scope)
    return traces(scope)


def figure(scope: Scope) -> Drawing:
    """Draw a closed line per variant over the axes, 0–100 %; or all variants over parallel axes."""
    if _FORM.of(scope.selection) == "parallel":
        return parallel.figure(scope, axes(scope))
    rows, spokes = traces(scope), axes(scope)
    if not rows:
        return charts.message_figure("No selected variant was compared with the baseline")
    drawn = Drawing()
    seen: dict[str, int] = {}
    for row in rows:
        style = scope.results.styles[row["method"]]
        nth = seen.setdefault(row["method"], 0)
        seen[row["method"]] += 1
        measured = [(axis, axis.score(row)) for axis in spokes]
        known = [(axis, score) for axis, score in measured if score is not None]
        closed = [*known, known[0]]
        drawn.add_scatterpolar(
            theta=[axis.name for axis, _ in closed],
            r=[100 * score for _, score in closed],
            name=in_figure(row["label"], LEGEND),
            legendgroup=row["variant_id"],
            meta={"variant_id": row["variant_id"]},
            mode="lines+markers",
            line={"color": style.color, "width": 2.2, "dash": _DASHES[nth % len(_DASHES)]},
            marker={"color": style.color, "symbol": style.symbol, "size": 8},
            fill="toself" if len(rows) <= 3 else "none",
            fillcolor=translucent(style.color, 0.07),
            customdata=[[row["variant_id"]]] * len(closed),
            hovertext=[axis.hover(row, score) for axis, score in closed],
            hoverinfo="text",
        )
    ticks = (25, 50, 75, 100)
    drawn.update_layout(
        polar={
            "radialaxis": {
                "range": [0, 100],
                "tickvals": ticks,
                "ticktext": [f"{t} %" for t in ticks],
                "angle": 60,
                "tickangle": 60,
                "tickfont": {"size": 10},
            },
            "angularaxis": {"direction": "clockwise", "rotation": 90, "tickfont": {"size": 12}},
        },
        margin={"t": 73, "b": 36, "l": 90, "r": 90},
        legend={"y": 1.09},
        showlegend=True,
    )
    return drawn


def headline(scope: Scope) -> str:
    """Say how many axes the most frequent leader leads by more than the error."""
    rows = _compared(scope)
    if not rows:
        return "No selected variant was compared with the baseline"
    if len(rows) == 1:
        return f"Only {rows[0]['label']} is selected: there is nothing to compare it with"
    winners = _winners(scope, rows)
    names = [row["label"] for row in winners.values() if row is not None]
    if not names:
        return "No variant leads on any axis by more than the error"
    most = max(names, key=lambda name: (names.count(name), name))
    if names.count(most) == len(winners):
        return f"{most} leads on every axis shown"
    return f"No variant leads everywhere: {most} leads on {names.count(most)} of {len(winners)} axes"


def _winners(scope: Scope, rows: Sequence[Row]) -> dict[str, Row | None]:
    """Return the leader per axis; None if the lead is within its error."""
    winners = leaders(scope, sound(scope.results, rows))
    return {name: row for name, row in winners.items() if name != MEMORY}


def insights(scope: Scope) -> list[Insight]:
    """Describe leaders per axis, ties, dominated variants, and how the variants were chosen."""
    rows, spokes = _compared(scope), axes(scope)
    if not rows:
        return [NOTHING]
    leads: dict[str, list[str]] = {}
    for name, row in _winners(scope, rows).items():
        leads.setdefault(str(row["label"]) if row is not None else "", []).append(name)
    tied = leads.pop("", [])
    ordered = sorted(leads.items(), key=lambda item: (-len(item[1]), item[0]))
    rule = _LEAD.format(scope.in_engine)
    result = [
        Insight(f"{label} leads on {formats.listing(names, 6)}.", "finding", rule)
        for label, names in ordered[:3]
    ]
    if tied:
        result.append(Insight(f"No clear leader on {formats.listing(tied, 6)}.", "tie", rule))
    result.append(_dominated(rows, spokes) if len(rows) > 1 else _ALONE)
    total = scope.frame.height
    if len(rows) < total and _FORM.of(scope.selection) != "parallel":
        text = f"Shown: {formats.listing([r['label'] for r in rows], 6)}."
        how = (
            f"the picked variants, else one per method at about equal bits; {total} variants pass the filters"
        )
        result.append(Insight(text, "note", how))
    if not any(axis.name == "decode speed" for axis in spokes):
        text = f"Speed was not measured{scope.in_engine}, so it has no axis here."
        result.append(Insight(text, "note"))
    passing = scope.rows
    return [*result, *elsewhere(passing, one_place(passing))]


def _dominated(rows: Sequence[Row], spokes: Sequence[Axis]) -> Insight:
    scores = np.array([[axis.score(row) for axis in spokes] for row in rows], dtype=np.float64)
    beaten = []
    for row, own in zip(rows, scores, strict=True):
        known = ~np.isnan(scores) & ~np.isnan(own)
        ahead = known.any(axis=1) & ((scores > own) | ~known).all(axis=1)
        if ahead.any():
            beaten.append(f"{row['label']} (by {rows[int(ahead.argmax())]['label']})")
    if not beaten:
        return Insight("No shown variant is beaten by another on every axis.", "finding")
    return Insight(f"Beaten on every axis: {formats.listing(beaten)}.", "finding", "by measured values")


VIEW = View(
    id="radar",
    number=8,
    tab="Radar",
    title="Several metrics at once",
    caption="",
    captions={
        "radar": "Each axis runs from 0 to 100 % of a fixed reference: the baseline for quality, the smallest, most "
        "efficient or fastest measured variant for the others. Variant filters do not change it.",
        "parallel": "Every selected variant, each axis from the worst (bottom) to the best value (top) in this "
        "folder. Variant filters do not change the ends.",
    },
    unfiltered="References and values are over the filtered tokens, except size and speed, which do not depend on "
    "tokens.",
    headline=headline,
    draw=figure,
    insights=insights,
    options=(_FORM,),
    claims=claims_of("radar"),
)
