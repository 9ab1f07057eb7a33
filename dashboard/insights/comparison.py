"""Comparisons that views share: with the baseline, between neighbours, between methods at equal bits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from dashboard import formats
from dashboard.charts import by_method, complete
from dashboard.insights import Insight
from dashboard.insights.statistics import Z95, Estimate, at, rank_correlation
from dashboard.results import Results

Row = dict[str, Any]
NOTHING = Insight("Nothing is selected, so there is nothing to say.", "unknown")


def log_ratio(row: Row) -> Estimate:
    """ln(PPL / PPL of the baseline) with its paired error; an unknown error counts as infinite."""
    error = row["ln_ppl_ratio_se"]
    return Estimate(row["ln_ppl_ratio"], math.inf if error is None else error)


def divergence(row: Row) -> Estimate:
    """Mean KLD in nats with its error: clustered by window where that was measured."""
    errors = (row["kld_se_clustered"], row["kld_se"])
    return Estimate(row["kld_mean"], next((error for error in errors if error is not None), math.inf))


def gap(results: Results, first: Row, second: Row, column: str = "nll") -> Estimate:
    """Subtract `second` from `first` over the same tokens; without token files as if independent."""
    paired = results.paired(first["variant_id"], second["variant_id"], column)
    if paired is not None:
        return paired
    of = divergence if column == "kld" else log_ratio
    return of(first).minus(of(second))


def monotone(results: Results, rows: Sequence[Row]) -> list[Insight]:
    """Tell per method whether perplexity falls as bits rise, and which neighbours are out of order."""
    found = []
    orderly: dict[str, str] = {}
    for method, group in by_method(complete(rows, "ln_ppl_ratio")).items():
        rho = rank_correlation([r["bits_per_weight"] for r in group], [r["ln_ppl_ratio"] for r in group])
        if rho is None:
            text = f"{method}: {len(group)} variants are too few to see a trend over bits."
            found.append(Insight(text, "unknown"))
            continue
        wrong = _inversions(results, group)
        trend = f"Spearman ρ = {formats.number(rho, 2)}, {len(group)} variants"
        if wrong:
            text = f"{method}: more bits are not always better: {formats.listing(wrong, 3)}."
            found.append(Insight(text, "caution", trend + "; paired over the same tokens, 95 %"))
        elif rho < 0:
            orderly[method] = trend
        else:
            found.append(Insight(f"{method}: perplexity does not fall with bits here.", "caution", trend))
    if orderly:
        text = f"{formats.listing(list(orderly))}: perplexity falls as bits rise, no step breaks the order."
        detail = "; ".join(f"{method}: {trend}" for method, trend in orderly.items())
        found.insert(
            0, Insight(text, "finding", f"{detail}; steps the wrong way inside their error do not count")
        )
    return found


def _inversions(results: Results, group: Sequence[Row]) -> list[str]:
    wrong = []
    for lower, higher in pairwise(group):
        difference = gap(results, higher, lower)
        if difference.low > 0:
            change = formats.percent_change(difference.value, 1)
            wrong.append(f"{higher['quant']} is worse than the smaller {lower['quant']} ({change} PPL)")
    return wrong


def common_bits(groups: dict[str, list[Row]]) -> tuple[float, float] | None:
    """Return the range of bits per weight that every method covers."""
    low = max(group[0]["bits_per_weight"] for group in groups.values())
    high = min(group[-1]["bits_per_weight"] for group in groups.values())
    return (low, high) if low < high else None


def at_equal_bits(
    rows: Sequence[Row], where: float, estimate: Callable[[Row], Estimate] = log_ratio
) -> dict[str, Estimate]:
    """Interpolate each method at `where` bits per weight; outside its measured range it is absent."""
    values = {}
    for method, group in by_method(rows).items():
        value = at([r["bits_per_weight"] for r in group], [estimate(r) for r in group], where)
        if value is not None:
            values[method] = value
    return values


def rank_methods(values: dict[str, Estimate]) -> tuple[str, list[str], bool]:
    """Find the method with the lowest value, those tied with it, and whether it leads alone."""
    best = min(values, key=lambda method: values[method].value)
    tied = [m for m in values if m != best and not values[m].minus(values[best]).low > 0]
    return best, tied, not tied


def matched_bits(rows: Sequence[Row], what: str = "lowest") -> Insight:
    """Which method loses least at the lowest (or the middle of the) bits that all methods cover."""
    usable = complete(rows, "ln_ppl_ratio")
    groups = by_method(usable)
    if len(groups) < 2:
        return Insight(
            "One method cannot be compared with itself: select or measure at least two.", "unknown"
        )
    shared = common_bits(groups)
    if shared is None:
        return Insight(
            "The methods share no range of bits per weight, so they cannot be compared.", "unknown"
        )
    where = shared[0] if what == "lowest" else sum(shared) / 2
    values = at_equal_bits(usable, where)
    best, tied, alone = rank_methods(values)
    detail = "; ".join(f"{m} {_change(e)}" for m, e in sorted(values.items(), key=lambda item: item[1].value))
    place = (
        f"At {formats.bits(where)} ({'the lowest' if what == 'lowest' else 'the middle of what'} all cover)"
    )
    if alone:
        return Insight(f"{place}, {best} loses least perplexity.", "finding", detail)
    text = f"{place}, {formats.listing([best, *tied])} are tied: the differences are inside their error."
    return Insight(text, "tie", detail)


def _change(estimate: Estimate) -> str:
    return f"{formats.percent_change(estimate.value, 1)} ± {formats.percent(Z95 * estimate.se, 1)}"


def steadiest(rows: Sequence[Row]) -> Insight | None:
    """Which method's perplexity moves least over the bits that all methods cover."""
    usable = complete(rows, "ln_ppl_ratio")
    groups = by_method(usable)
    shared = common_bits(groups) if len(groups) > 1 else None
    if shared is None:
        return None
    low, high = at_equal_bits(usable, shared[0]), at_equal_bits(usable, shared[1])
    spans = {method: low[method].minus(high[method]) for method in groups}
    best, tied, alone = rank_methods(spans)
    detail = "; ".join(f"{m} {_change(e)}" for m, e in spans.items())
    place = f"from {formats.number(shared[1], 3)} down to {formats.number(shared[0], 3)} bits"
    if alone:
        return Insight(f"{best} is the steadiest {place}.", "finding", detail)
    return Insight(
        f"Steadiness {place} cannot be told apart: {formats.listing([best, *tied])}.", "tie", detail
    )


def within_noise(rows: Sequence[Row]) -> Insight:
    """Variants whose perplexity cannot be told from the baseline's."""
    usable = complete(rows, "ln_ppl_ratio")
    same = [row["label"] for row in usable if not log_ratio(row).differs_from_zero]
    if not same:
        text = "Every selected variant differs from the baseline's perplexity by more than its error."
        return Insight(text, "finding", f"variants: {len(usable)}; paired, 95 %")
    text = f"Perplexity cannot tell {formats.listing(same)} from the baseline."
    return Insight(
        text, "tie", "paired ln PPL ratio within ±1.96 standard errors of 0; KLD may still see a change"
    )
