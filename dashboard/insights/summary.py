"""Build the summary table by stated rules: what each method is best for, its limitations, its best bit rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dashboard.insights import Insight
from dashboard.insights.claim_rules import DECODE_TIME, Case
from dashboard.insights.comparison import NOTHING, log_ratio
from dashboard.insights.curves import knee_of
from dashboard.insights.faults import same_weights
from dashboard.insights.losses import worst_rise
from dashboard.insights.recommender import EVERYDAY, HEAVY, closest, smallest_within
from dashboard.insights.speed_order import fastest
from dashboard.insights.verdict import verdict, where_each_leads
from dashboard.results.rows import Row, complete, type_name
from dashboard.results.scope import Scope
from dashboard.style import formats

OPTIMAL_BOUND = EVERYDAY
_RULES = {
    "Best for": "quality: the sizes at which its file has the lowest mean KLD of all methods' files of that size, by "
    "more than the paired error; small files: the smallest file whose perplexity rises by less than 10 % (95 % upper "
    "bound); speed: the lowest decode time{} of the methods' chosen variants, if none other may be as fast: by "
    "rounds timed in turn, else by p10–p90.",
    "Limitations": f"types whose perplexity rises by over {formats.percent(HEAVY, 0)} even at the 95 % lower "
    "bound; sizes at which its files are behind; missing measurements.",
    "Optimal bit rate": f"the smallest variant whose perplexity rise has a 95 % upper bound under "
    f"{formats.percent(OPTIMAL_BOUND, 0)}; if there is none, the first variant past the knee, where the "
    "two straight lines that best fit ln PPL over bits meet, if they fit better than one (F test, 95 %; six "
    "variants or more); without a knee, the variant closest to the baseline.",
    "PPL, 1/PPL/MB": "of the variant at the optimal bit rate; MB = 10⁶ bytes, written × 10⁻⁵: 3.2 "
    "means 0.000032, such as a perplexity of 12 at 2.6 GB.",
}
BY_RULE = "by rule"
PAST_KNEE = "past the knee: no variant meets the rule"
CLOSEST = "closest to the baseline: no variant meets the rule"
_NO_LEAD = "no lead beyond the error"
_RULED = "rules: closest to the baseline at equal size, small files, speed"


@dataclass(frozen=True)
class MethodSummary:
    """One line of the table; `optimal` is the variant at the best bit rate, `chosen` the rule that chose it."""

    method: str
    optimal: Row
    chosen: str
    best_for: tuple[str, ...]
    limitations: tuple[str, ...]

    @property
    def by_rule(self) -> bool:
        """Whether `optimal` meets the bound on perplexity."""
        return self.chosen == BY_RULE


def rules(scope: Scope) -> Mapping[str, str]:
    """Return the rules behind the table, by column; they name the engine whose times count."""
    return {name: rule.format(scope.in_engine) for name, rule in _RULES.items()}


def optimal(rows: Sequence[Row]) -> tuple[Row, str] | None:
    """Return a method's variant of the best bit rate, and the rule that chose it."""
    if (within := smallest_within(rows, OPTIMAL_BOUND)) is not None:
        return within, BY_RULE
    bend = knee_of(rows)
    if bend is not None:
        past = [row for row in rows if row["bits_per_weight"] >= bend.at]
        return min(past, key=lambda row: row["bits_per_weight"]), PAST_KNEE
    nearest = closest(rows)
    return (nearest, CLOSEST) if nearest is not None else None


def summarize(scope: Scope) -> list[MethodSummary]:
    """Return the table for the filtered variants of one model on one device; methods by name."""
    return table(Case.of(scope))


def table(case: Case) -> list[MethodSummary]:
    """Build the table for a case; see `summarize`."""
    groups = {m: usable for m, group in case.methods.items() if (usable := complete(group, "ppl"))}
    chosen = {method: best for method, group in groups.items() if (best := optimal(group)) is not None}
    strengths = _strengths(case, {method: row for method, (row, _) in chosen.items()})
    return [
        MethodSummary(
            method,
            row,
            why,
            tuple(strengths.get(method, [])) or (_no_strength(groups),),
            tuple(_limitations(case, method, groups[method])) or ("none by these rules",),
        )
        for method, (row, why) in chosen.items()
    ]


def _strengths(case: Case, chosen: Mapping[str, Row]) -> dict[str, list[str]]:
    strengths: dict[str, list[str]] = {}
    if len(chosen) < 2:
        return strengths
    for method, where in where_each_leads(case.bands).items():
        strengths.setdefault(method, []).append(f"quality {where}")
    small = smallest_within(case.compared, HEAVY)
    if small is not None:
        strengths.setdefault(_method_of(case, small), []).append(f"small files ({small['quant']})")
    timed = complete(list(chosen.values()), DECODE_TIME[1])
    first = fastest(case.scope.results, timed)
    if len(timed) > 1 and len(first) == 1:
        strength = f"speed{case.scope.in_engine} ({first[0]['quant']})"
        strengths.setdefault(_method_of(case, first[0]), []).append(strength)
    return strengths


def _method_of(case: Case, row: Row) -> str:
    return next(method for method, group in case.methods.items() if row in group)


def _no_strength(groups: Mapping[str, Sequence[Row]]) -> str:
    return "not comparable: only one method" if len(groups) < 2 else _NO_LEAD


def _limitations(case: Case, method: str, group: Sequence[Row]) -> list[str]:
    limitations = []
    held = [band for band in case.bands if method in band.files]
    behind = [band for band in held if method in band.ranking.behind]
    if behind:
        leaders = formats.listing(list(dict.fromkeys(band.ranking.best for band in behind)))
        limitations.append(f"behind {leaders} at {len(behind)} of {len(held)} sizes compared")
    heavy = [type_name(row) for row in group if math.expm1(log_ratio(row).low) > HEAVY]
    if heavy:
        limitations.append(
            f"perplexity up by over {formats.percent(HEAVY, 0)} with {formats.listing(heavy, 5)}"
        )
    if not complete(group, DECODE_TIME[1]):
        limitations.append(f"speed not measured{case.scope.in_engine}")
    return limitations


def takeaways(scope: Scope) -> list[Insight]:
    """Return the main insights from the table."""
    case = Case.of(scope)
    lines = table(case)
    if not lines:
        return [NOTHING]
    compared = [verdict(case.bands)] if len(lines) > 1 else []
    insights = [*compared, _one_fits_all(lines), *_sweet_spot(lines)]
    eight = [row for row in case.compared if row["bits_per_weight"] >= 7.5]
    if eight:
        rise, known = worst_rise(eight)
        text, detail = f"8 bits: perplexity rises by {rise}.", "95 % bound over variants of 7.5 bits and more"
        insights.append(Insight(text, "finding" if known else "unknown", detail))
    return [*insights, *same_weights(scope)]


def _one_fits_all(lines: Sequence[MethodSummary]) -> Insight:
    if len(lines) == 1:
        text = f"Only {lines[0].method} is selected: there is no other method to compare with."
        return Insight(text, "unknown", "measure another publisher's files of the same model to compare")
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
    return Insight("By the summary's rules no method leads by more than the error.", "tie", _RULED)


def _sweet_spot(lines: Sequence[MethodSummary]) -> list[Insight]:
    kept = [line for line in lines if line.by_rule]
    bound = formats.percent(OPTIMAL_BOUND, 0)
    if not kept:
        text = f"No variant stays under +{bound} perplexity; the table shows the next best of each method."
        return [Insight(text, "caution", "the 95 % upper bound decides")]
    least = min(kept, key=lambda line: line.optimal["bits_per_weight"])
    bits = formats.bits(least.optimal["bits_per_weight"])
    text = f"The smallest bit rate that costs under {bound} perplexity is {bits} ({least.optimal['label']})."
    rates = [f"{line.method} {formats.number(line.optimal['bits_per_weight'])}" for line in kept]
    return [Insight(text, "finding", f"per method: {formats.listing(rates, 6)}")]
