"""The summary table: what each method is best for, where it ends, its best bit rate; by stated rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dashboard.insights import Insight
from dashboard.insights.bands import Band
from dashboard.insights.comparison import log_ratio
from dashboard.insights.faults import same_weights
from dashboard.insights.judging import Case, overlap
from dashboard.insights.losses import worst_rise
from dashboard.insights.recommender import EVERYDAY, HEAVY, closest, smallest_within
from dashboard.insights.verdict import places, verdict
from dashboard.results.rows import Row, complete, type_name
from dashboard.results.scope import Scope
from dashboard.style import formats

OPTIMAL_BOUND = EVERYDAY
RULES = {
    "Best for": "quality: the sizes at which its file is closer to the baseline, by mean KLD, than the other "
    "methods' files of that size, alone outside the paired error; small files: the smallest file under +10 % "
    "perplexity (95 % bound); speed: lowest decode time of the methods' chosen variants, its p10–p90 range apart "
    "from the next.",
    "Limitations": f"types that cost over {formats.percent(HEAVY, 0)} perplexity even at their 95 % lower "
    "bound; where its files are behind at equal size; what was not measured.",
    "Optimal bit rate": f"the smallest variant whose perplexity rise has a 95 % upper bound under "
    f"{formats.percent(OPTIMAL_BOUND, 0)}; where there is none, the knee: farthest below the line from the "
    "smallest to the largest variant in bits and ln PPL, both scaled to 0–1.",
    "PPL, 1/PPL/MB": "of the variant at the optimal bit rate; MB = 10⁶ bytes, written × 10⁻⁵: a value of 3.2 "
    "is 1/PPL/MB = 0.000032, a perplexity of 12 at 2.6 GB.",
}
_NO_LEAD = "no lead outside the errors"
_RULED = "rules: closest to the baseline at equal size, small files, speed"


@dataclass(frozen=True)
class MethodSummary:
    """One line of the table; `optimal` is the variant at the best bit rate, `by_rule` whether by rule."""

    method: str
    optimal: Row
    by_rule: bool
    best_for: tuple[str, ...]
    limitations: tuple[str, ...]


def knee(rows: Sequence[Row]) -> Row | None:
    """Find the point farthest below the chord from the fewest to the most bits; None under three points."""
    ordered = sorted(rows, key=lambda row: row["bits_per_weight"])
    if len(ordered) < 3:
        return None
    x = [row["bits_per_weight"] for row in ordered]
    y = [row["ln_ppl_ratio"] for row in ordered]
    wide, tall = x[-1] - x[0], y[0] - y[-1]
    if wide <= 0 or tall <= 0:
        return None
    below = [1 - (a - x[0]) / wide - (b - y[-1]) / tall for a, b in zip(x, y, strict=True)]
    return ordered[max(range(len(ordered)), key=lambda index: below[index])]


def optimal(rows: Sequence[Row]) -> tuple[Row, bool] | None:
    """Return a method's best bit rate by the stated rule, and whether it keeps the bound."""
    chosen = smallest_within(rows, OPTIMAL_BOUND)
    if chosen is not None:
        return chosen, True
    fallback = knee(rows) or closest(rows)
    return (fallback, False) if fallback is not None else None


def summarize(scope: Scope) -> list[MethodSummary]:
    """Return the table for the filtered variants of one model on one device; methods by name."""
    return table(Case.of(scope))


def table(case: Case) -> list[MethodSummary]:
    """See `summarize`."""
    groups = {m: usable for m, group in case.methods.items() if (usable := complete(group, "ppl"))}
    chosen = {method: found for method, group in groups.items() if (found := optimal(group)) is not None}
    strengths = _strengths(case, {method: row for method, (row, _) in chosen.items()})
    return [
        MethodSummary(
            method,
            row,
            by_rule,
            tuple(strengths.get(method, [])) or (_no_strength(groups),),
            tuple(_limitations(method, groups[method], case.bands)) or ("none by these rules",),
        )
        for method, (row, by_rule) in chosen.items()
    ]


def _strengths(case: Case, chosen: Mapping[str, Row]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    if len(chosen) < 2:
        return found
    for method, where in places(case.bands).items():
        found.setdefault(method, []).append(f"quality {where}")
    small = smallest_within(case.compared, HEAVY)
    if small is not None:
        found.setdefault(_method_of(case, small), []).append(f"small files ({small['quant']})")
    timed = complete(list(chosen.values()), "decode_ms_p50")
    if len(timed) > 1:
        fastest, second = sorted(timed, key=lambda row: row["decode_ms_p50"])[:2]
        if not overlap(fastest, second):
            found.setdefault(_method_of(case, fastest), []).append(f"speed ({fastest['quant']})")
    return found


def _method_of(case: Case, row: Row) -> str:
    return next(method for method, group in case.methods.items() if row in group)


def _no_strength(groups: Mapping[str, Sequence[Row]]) -> str:
    return "cannot be said: only one method" if len(groups) < 2 else _NO_LEAD


def _limitations(method: str, group: Sequence[Row], bands: Sequence[Band]) -> list[str]:
    found = []
    held = [band for band in bands if method in band.files]
    behind = [band for band in held if method in band.ranking.behind]
    if behind:
        leaders = formats.listing(list(dict.fromkeys(band.ranking.best for band in behind)))
        found.append(f"behind {leaders} at {len(behind)} of {len(held)} sizes compared")
    heavy = [type_name(row) for row in group if math.expm1(log_ratio(row).low) > HEAVY]
    if heavy:
        found.append(f"over {formats.percent(HEAVY, 0)} perplexity lost with {formats.listing(heavy, 5)}")
    if not complete(group, "decode_ms_p50"):
        found.append("speed not measured")
    return found


def takeaways(scope: Scope) -> list[Insight]:
    """Return what the table comes down to."""
    case = Case.of(scope)
    lines = table(case)
    if not lines:
        return [Insight("Nothing that can be compared is selected.", "unknown")]
    compared = [verdict(case.bands)] if len(lines) > 1 else []
    found = [*compared, _one_fits_all(lines), *_sweet_spot(lines)]
    eight = [row for row in case.compared if row["bits_per_weight"] >= 7.5]
    if eight:
        rise, known = worst_rise(eight)
        text, detail = f"8 bits: perplexity rises by {rise}.", "95 % bound over variants of 7.5 bits and more"
        found.append(Insight(text, "finding" if known else "unknown", detail))
    return [*found, *same_weights(scope)]


def _one_fits_all(lines: Sequence[MethodSummary]) -> Insight:
    if len(lines) == 1:
        text = f"Only {lines[0].method} is here: methods cannot be compared with one."
        return Insight(text, "unknown", "measure a second publisher's files of the same model to compare")
    leaders = [line.method for line in lines if line.best_for[0] != _NO_LEAD]
    if len(leaders) == 1:
        (only,) = (line for line in lines if line.method == leaders[0])
        text = f"By the summary's rules only {only.method} leads: {formats.listing(list(only.best_for))}."
        return Insight(text, "finding", _RULED)
    if leaders:
        text = f"No method leads everywhere: {formats.listing(leaders)} each lead somewhere."
        led = [f"{line.method}: {formats.listing(list(line.best_for))}" for line in lines]
        ahead = [text for text, line in zip(led, lines, strict=True) if line.method in leaders]
        return Insight(text, "finding", f"{'; '.join(ahead)}. {_RULED.capitalize()}")
    return Insight("By the summary's rules no method leads outside the errors.", "tie", _RULED)


def _sweet_spot(lines: Sequence[MethodSummary]) -> list[Insight]:
    kept = [line for line in lines if line.by_rule]
    bound = formats.percent(OPTIMAL_BOUND, 0)
    if not kept:
        text = f"No variant stays under +{bound} perplexity; the table names each method's knee instead."
        return [Insight(text, "caution", "the 95 % upper bound decides")]
    least = min(kept, key=lambda line: line.optimal["bits_per_weight"])
    bits = formats.bits(least.optimal["bits_per_weight"])
    text = f"The smallest bit rate that costs under {bound} perplexity is {bits} ({least.optimal['label']})."
    rates = [f"{line.method} {formats.number(line.optimal['bits_per_weight'])}" for line in kept]
    return [Insight(text, "finding", f"per method: {formats.listing(rates, 6)}")]
