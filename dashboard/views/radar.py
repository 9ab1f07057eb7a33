"""Draw view 8: several metrics at once, of the recommended file and its siblings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dashboard.figures import charts, parallel
from dashboard.figures.drawing import Drawing
from dashboard.figures.scores import Axis, axes
from dashboard.figures.spokes import Spokes, has_values, radar
from dashboard.insights import Insight
from dashboard.insights.claims import claims_of
from dashboard.insights.comparison import NOTHING, elsewhere
from dashboard.insights.faults import sound
from dashboard.insights.leaders import DECODE, MEMORY
from dashboard.insights.memory_need import COPIES, memory_needs, peak_with_copies
from dashboard.insights.standings import standings
from dashboard.insights.tier import Tier, tier
from dashboard.results.rows import Row, complete, one_place
from dashboard.results.scope import Scope
from dashboard.style import formats
from dashboard.views import Option, View

_FORM = Option("form", "Form", (("radar", "radar"), ("parallel", "parallel coordinates")))
#: Most files that are drawn without picks, and places for picks besides.
_MOST_TRACES, _MOST_PICKS = 6, 4
#: Most axes that the title names.
_MOST_NAMED = 2
_ALONE = Insight("Only one variant is shown: select another to compare it with.", "unknown")
_LEAD = "by more than the paired error, the error of speed{}, or 1 % of size"


def _passing(scope: Scope) -> list[Row]:
    """Return the compared variants of one model on one device."""
    return one_place(complete(scope.rows, "ln_ppl_ratio"))


def traces(scope: Scope) -> Tier:
    """Return the variants on the radar: the recommended one, the other methods' nearest in size, and picked ones."""
    return tier(scope, _passing(scope), _MOST_TRACES, _MOST_PICKS)


def _drawn(chosen: Tier) -> list[Row]:
    """Return the files, picked ones last, so that the others keep their looks."""
    return [*chosen.steady, *chosen.rows[: chosen.picked]]


def _is_radar(scope: Scope) -> bool:
    return _FORM.of(scope.selection) == "radar"


def _compared(scope: Scope) -> list[Row]:
    """Return the variants shown: a few on the radar, all on parallel coordinates."""
    return _drawn(traces(scope)) if _is_radar(scope) else _passing(scope)


def figure(scope: Scope) -> Drawing:
    """Draw a closed line per variant over the axes that tell them apart; or all variants over parallel axes."""
    if not _is_radar(scope):
        return parallel.figure(scope, axes(scope))
    chosen = traces(scope)
    rows = _drawn(chosen)
    if not rows:
        return charts.message_figure("No selected variant was compared with the baseline")
    return radar(scope, rows, Spokes.of(scope, rows), chosen.steady)


def headline(scope: Scope) -> str:
    """Say how many axes the most frequent leader leads by more than the error, and which, if they are few."""
    rows = _compared(scope)
    if not rows:
        return "No selected variant was compared with the baseline"
    if len(rows) == 1:
        return f"Only {rows[0]['label']} is selected: there is nothing to compare it with"
    winners = _winners(*_standing(scope, rows))
    names = [row["label"] for row in winners.values() if row is not None]
    if not names:
        return "No variant leads on any axis by more than the error"
    most = max(names, key=lambda name: (names.count(name), name))
    if names.count(most) == len(winners):
        return f"{most} leads on every axis shown"
    axes_led = [name for name, row in winners.items() if row is not None and row["label"] == most]
    named = f": {formats.listing(axes_led)}" if len(axes_led) <= _MOST_NAMED else ""
    led = f"{len(axes_led)} of {len(winners)} axes{named}"
    if len(set(names)) == 1:
        return f"Only {most} leads, on {led}"
    return f"No variant leads everywhere: {most} leads on {led}"


def _standing(scope: Scope, rows: Sequence[Row]) -> tuple[Sequence[Axis], Mapping[str, Sequence[Row]]]:
    """Return the axes that are drawn, and per axis the files that may be the best."""
    if _is_radar(scope):
        spokes = Spokes.of(scope, rows)
        return spokes.drawn, spokes.first
    return axes(scope), standings(scope, sound(scope.results, rows))


def _winners(drawn: Sequence[Axis], first: Mapping[str, Sequence[Row]]) -> Mapping[str, Row | None]:
    """Return the leader per axis; None if the lead is within its error."""
    best = {axis.name: first.get(axis.name, []) for axis in drawn}
    return {name: rows[0] if len(rows) == 1 else None for name, rows in best.items()}


def insights(scope: Scope) -> list[Insight]:
    """Describe leaders per axis, ties, dominated variants, and how the variants were chosen."""
    rows = _compared(scope)
    if not rows:
        return [NOTHING]
    drawn, first = _standing(scope, rows)
    leads: dict[str, list[str]] = {}
    for name, row in _winners(drawn, first).items():
        leads.setdefault(str(row["label"]) if row is not None else "", []).append(name)
    tied = leads.pop("", [])
    ordered = sorted(leads.items(), key=lambda item: (-len(item[1]), item[0]))
    rule = _LEAD.format(scope.in_engine)
    result = [
        Insight(f"{label} leads on {formats.listing(names, 6)}.", "finding", rule)
        for label, names in ordered[:3]
    ]
    if tied and len(rows) > 1:
        result.append(Insight(f"No clear leader on {formats.listing(tied, 6)}.", "tie", rule))
    level = [first[axis.name] for axis in drawn if axis.name in first]
    result.append(_dominated(rows, drawn, level) if len(rows) > 1 else _ALONE)
    if _is_radar(scope) and len(rows) < scope.frame.height:
        result += traces(scope).told
    if not any(axis.name == DECODE for axis in axes(scope)):
        text = f"Speed was not measured{scope.in_engine}, so it has no axis here."
        result.append(Insight(text, "note"))
    passing = scope.rows
    return [*result, *elsewhere(passing, one_place(passing))]


def noted(scope: Scope) -> str:
    """Say whose values are at the axes, what peak memory has twice, and which axes are left out.

    Those are left out on which all drawn variants are level.
    """
    chosen = traces(scope) if _is_radar(scope) else Tier([])
    rows = _drawn(chosen)
    level = [axis.name for axis in Spokes.of(scope, rows).level] if rows else []
    is_part = chosen.picked and has_values(chosen.steady)
    names = formats.listing(level, 6)
    told = [
        "Values at the axes: of the files that are drawn without picks, too." if is_part else "",
        _copies(scope),
        f"Left out, as all drawn files are level on it within their errors: {names}." if level else "",
    ]
    return " ".join(filter(None, told))


def _copies(scope: Scope) -> str:
    """Say why the peak memory on an axis is more than the files' memory on the first page; empty if it is not."""
    rows = _compared(scope)
    drawn = Spokes.of(scope, rows).drawn if rows and _is_radar(scope) else axes(scope)
    if all(axis.name != MEMORY for axis in drawn):
        return ""
    needs, engine = memory_needs(scope.results), scope.engine
    least = (
        (row, needs.at(row["variant_id"], engine, kind, 0))
        for row in rows
        for kind in needs.types(row["variant_id"], engine)[:1]
    )
    twice = any(peak_with_copies(row, need) is not None for row, need in least)
    return f"Peak memory is measured, with {COPIES}." if twice else ""


def _dominated(rows: Sequence[Row], spokes: Sequence[Axis], level: Sequence[Sequence[Row]]) -> Insight:
    """Name the variants that another one beats on every axis by measured values, on one by more than the error.

    Where the other one has no value, it does not beat. `level` has, per axis with errors, those that may be the best.
    """
    scores = np.array([[axis.score(row) for axis in spokes] for row in rows], dtype=np.float64)
    beaten = []
    for row, own in zip(rows, scores, strict=True):
        has = ~np.isnan(own)
        ahead = has.any() & ((scores > own) | ~has).all(axis=1)
        if ahead.any() and not (level and all(row in first for first in level)):
            beaten.append(f"{row['label']} (behind {rows[int(ahead.argmax())]['label']})")
    rule = "by measured values"
    if not beaten:
        return Insight("No shown variant is behind another on every axis.", "finding", rule)
    listed = formats.listing(beaten)
    return Insight(f"Behind on every axis, on some by more than the error: {listed}.", "finding", rule)


VIEW = View(
    id="radar",
    number=8,
    tab="Radar",
    title="Several metrics at once",
    caption="",
    captions={
        "radar": "Outward is better on every axis. The best file drawn is at 100 %; 50 % is twice its size, time, "
        "memory, KLD, or share of tokens whose top token changes.",
        "parallel": "Every selected variant, each axis from the worst (bottom) to the best value (top) in this "
        "folder. Variant filters do not change the ends.",
    },
    unfiltered="References and values are over the filtered tokens, except size and speed, which do not depend on "
    "tokens.",
    headline=headline,
    draw=figure,
    insights=insights,
    noted=noted,
    options=(_FORM,),
    claims=claims_of("radar"),
)
