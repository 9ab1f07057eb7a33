"""Describe curves over bits: their order, steadiness and bend, and ties with the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from dashboard.insights import Insight
from dashboard.insights.comparison import Ranking, change, gap, log_ratio, nats, rank_mixtures
from dashboard.insights.matching import outermost
from dashboard.results.rows import Row, by_method, complete
from dashboard.results.scope import Scope
from dashboard.results.statistics import Estimate, Knee, knee, rank_correlation
from dashboard.style import formats

#: Largest excess loss of a steady method's largest file over another's, in nats.
_SMALL_LOSS = 0.01


@dataclass(frozen=True)
class Inversion:
    """A larger variant that is worse than a smaller one of its method by more than the paired error."""

    larger: Row
    smaller: Row
    by: Estimate


def inversions(scope: Scope, rows: Sequence[Row]) -> list[Inversion]:
    """Return neighbours in bits that are out of order, with 95 % for all steps together, widest gap first."""
    groups = by_method(complete(rows, "ln_ppl_ratio")).values()
    pairs = [pair for group in groups for pair in pairwise(group)]
    steps = [(low, high) for low, high in pairs if high["bits_per_weight"] > low["bits_per_weight"]]
    inverted = []
    for smaller, larger in steps:
        by = gap(scope, larger, smaller)
        if by is not None and by.value > by.reach(len(steps)):
            inverted.append(Inversion(larger, smaller, by))
    return sorted(inverted, key=lambda inversion: -inversion.by.value)


def trends(rows: Sequence[Row]) -> dict[str, float]:
    """Return the rank correlation of ln PPL ratio with bits for methods with at least three variants."""
    correlations = {
        method: rank_correlation([r["bits_per_weight"] for r in group], [r["ln_ppl_ratio"] for r in group])
        for method, group in by_method(complete(rows, "ln_ppl_ratio")).items()
    }
    return {method: rho for method, rho in correlations.items() if rho is not None}


def monotone(scope: Scope, rows: Sequence[Row]) -> Insight | None:
    """Say whether perplexity falls as bits rise, or which neighbours are out of order; None without a trend."""
    wrong, known = inversions(scope, rows), trends(rows)
    trend = "; ".join(f"{method} ρ = {formats.number(rho, 2)}" for method, rho in known.items())
    detail = f"Spearman's rank correlation: {trend}" if trend else ""
    if wrong:
        worst = wrong[0]
        more = len(wrong) - 1
        others = f", and {more} more such step{'s' * (more > 1)}" if more else ""
        step = f"{worst.larger['label']} is worse than the smaller {worst.smaller['quant']}"
        text = f"More bits are not always better: {step} by {nats(worst.by)}{others}."
        return Insight(text, "caution", detail)
    if not known:
        return None
    against = formats.listing([method for method, rho in known.items() if rho >= 0])
    if against != "none":
        return Insight(f"Perplexity does not fall with bits for {against}.", "caution", detail)
    text = "Perplexity falls as bits rise; no step breaks the order by more than its error."
    return Insight(text, "finding", detail)


@dataclass(frozen=True)
class Steadiness:
    """Rise of ln PPL from each method's file with the `most` bits to that with the `fewest`, least first.

    `flat` says why the first method is not steady although its curve is flat; empty if it is steady.
    """

    ranking: Ranking
    fewest: dict[str, Row]
    most: dict[str, Row]
    flat: str

    @property
    def where(self) -> str:
        """The range of bits, in words."""
        high, low = (
            fmean(row["bits_per_weight"] for row in part.values()) for part in (self.most, self.fewest)
        )
        return f"from {formats.number(high)} to {formats.number(low)} bits"


def steadiness(scope: Scope, rows: Sequence[Row]) -> Steadiness | None:
    """Rank methods by how much ln PPL rises over the bits at which all of them have files.

    A method that loses much at any number of bits has a flat curve too, but is not steady.
    """
    ends = outermost(by_method(complete(rows, "ln_ppl_ratio")))
    if ends is None:
        return None
    fewest, most = ends
    rises = {
        name: {str(fewest[name]["variant_id"]): 1.0, str(most[name]["variant_id"]): -1.0} for name in fewest
    }
    ranking = rank_mixtures(scope, [*fewest.values(), *most.values()], rises)
    if ranking is None:
        return None
    return Steadiness(ranking, fewest, most, _flat(scope, ranking.best, ends))


def _flat(scope: Scope, name: str, ends: tuple[dict[str, Row], dict[str, Row]]) -> str:
    """Say at which end a method loses more than another by more than the error; at the most bits, by over 1 %."""
    for files, least, which in ((ends[1], _SMALL_LOSS, "largest"), (ends[0], 0.0, "smallest")):
        for other, row in files.items():
            behind = gap(scope, files[name], row) if other != name else None
            if behind is not None and behind.low > least:
                return (
                    f"its {which} file, {files[name]['label']}, loses {nats(behind)} more than {row['label']}"
                )
    return ""


def knees(rows: Sequence[Row]) -> dict[str, Knee | None]:
    """Return where the curve of ln PPL ratio over bits bends, for methods with at least six variants."""
    return {
        method: knee_of(group)
        for method, group in by_method(complete(rows, "ln_ppl_ratio")).items()
        if len(group) >= 6
    }


def knee_of(rows: Sequence[Row]) -> Knee | None:
    """Return where one method's curve of ln PPL ratio over bits bends; None without a clear bend."""
    return knee([row["bits_per_weight"] for row in rows], [row["ln_ppl_ratio"] for row in rows])


def knee_text(knee: Knee) -> str:
    """Write a knee with its interval."""
    interval = f"{formats.number(knee.low, 2)}–{formats.number(knee.high, 2)}"
    return f"{formats.number(knee.at, 2)} bits ({interval})"


def bend(rows: Sequence[Row]) -> Insight | None:
    """Say where each method's curve of ln PPL bends; None if no method has enough variants."""
    bends = knees(rows)
    places = [f"{method} {knee_text(place)}" for method, place in bends.items() if place is not None]
    if places:
        text = f"The loss grows steeply below: {formats.listing(places)}."
        return Insight(
            text, "finding", "where the two best-fitting straight lines meet; 95 % interval (F test)"
        )
    if bends:
        text = f"No clear bend in the curve of {formats.listing(list(bends))}."
        return Insight(text, "tie", "two straight lines fit no better than one")
    return None


def within_noise(rows: Sequence[Row]) -> Insight | None:
    """Name variants whose perplexity equals the baseline's within the error; None if there are none."""
    compared = [row for row in complete(rows, "ln_ppl_ratio") if log_ratio(row).has_error]
    lower = {row["variant_id"] for row in _lower(compared)}
    same = [r["label"] for r in compared if not log_ratio(r).low > 0 and r["variant_id"] not in lower]
    if not same:
        return None
    text = f"Same perplexity as the baseline, within the error: {formats.listing(same)}."
    return Insight(text, "tie", "paired ln PPL ratio, 95 %; KLD may still show a change")


def below_baseline(rows: Sequence[Row]) -> Insight | None:
    """Name variants whose perplexity is lower than the baseline's by more than the error; None if there are none."""
    lower = _lower(complete(rows, "ln_ppl_ratio"))
    if not lower:
        return None
    most = min(lower, key=lambda row: (row["ln_ppl_ratio"], row["variant_id"]))
    names = formats.listing([row["label"] for row in lower])
    text = f"Perplexity is lower than the baseline's for {names}."
    detail = f"{most['label']}: {change(log_ratio(most))}; lower is not closer to the baseline: see KLD"
    return Insight(text, "caution", detail)


def _lower(rows: Sequence[Row]) -> list[Row]:
    """Return the rows below the baseline, with 95 % for all rows together."""
    return [row for row in rows if -log_ratio(row).value > log_ratio(row).reach(len(rows))]
