"""Describe losses at 8 and 4 bits, per text, relative to rounding, and those that perplexity does not show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dashboard.insights import Insight
from dashboard.insights.comparison import combine, divergence, log_ratio, nats
from dashboard.insights.matching import one_type
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.results.statistics import Estimate
from dashboard.style import formats
from dashboard.style.columns import PPL_SHARE
from evaluator.results.manifest import NoiseFloor

_EIGHT = 7.5
_FOUR = (4.0, 5.0)


def at_eight(rows: Sequence[Row]) -> Insight | None:
    """Bound the rise of perplexity at 7.5 bits and up; None without such variants."""
    high = [row for row in rows if row["bits_per_weight"] >= _EIGHT]
    if not high:
        return None
    rise, known = worst_rise(high)
    kld = max(row["kld_mean"] for row in high)
    detail = f"95 % bound, variants: {len(high)}; mean KLD up to {formats.number(kld)} nats"
    return Insight(
        f"At 7.5 bits and up perplexity rises by {rise}.", "finding" if known else "unknown", detail
    )


def worst_rise(rows: Sequence[Row]) -> tuple[str, bool]:
    """Return the bound on the rise of perplexity over one or more variants, and whether every error is known."""
    unknown = [row for row in rows if not log_ratio(row).has_error]
    if unknown:
        worst = max(unknown, key=lambda row: (row["ln_ppl_ratio"], row["variant_id"]))
        rise = formats.percent_change(worst["ln_ppl_ratio"])
        return f"{rise} ({worst['label']}), but its error was not measured", False
    worst = max(rows, key=lambda row: (log_ratio(row).high, row["variant_id"]))
    return f"at most {formats.percent_change(log_ratio(worst).high)} ({worst['label']})", True


def at_four(rows: Sequence[Row]) -> Insight | None:
    """Write the PPL ratio of the best variant of 4 to 5 measured bits; None without such variants."""
    four = [row for row in rows if _FOUR[0] <= row["bits_per_weight"] < _FOUR[1]]
    if not four:
        return None
    best = max(four, key=lambda row: (-row["ln_ppl_ratio"], row["variant_id"]))
    loss = log_ratio(best)
    same = f"; same top token {formats.percent(best['same_top'])}" if best["same_top"] is not None else ""
    subject = "the only variant is" if len(four) == 1 else "the best is"
    detail = f"variants: {len(four)}{same}"
    share = f"{PPL_SHARE} is {formats.percent(math.exp(-loss.value))}"
    text = f"Between 4 and 5 bits {subject} {best['label']}: {share}"
    if not loss.has_error:
        return Insight(f"{text}, but its error was not measured.", "unknown", detail)
    ends = f"{formats.percent(math.exp(-loss.high))}–{formats.percent(math.exp(-loss.low))}"
    return Insight(f"{text} ({ends}).", "finding", f"95 % interval; {detail}")


@dataclass(frozen=True)
class Extremes:
    """The largest and the smallest of two or more independent values, and their difference.

    `reach` is half the width of the difference's 95 % interval, which holds for all pairs together.
    """

    most: str
    least: str
    apart: Estimate
    reach: float

    @classmethod
    def of(cls, values: Mapping[str, Estimate]) -> Extremes:
        """Find the extremes; equal values are ordered by name."""
        ordered = sorted(values, key=lambda name: (-values[name].value, name))
        apart = values[ordered[0]].minus(values[ordered[-1]])
        return cls(ordered[0], ordered[-1], apart, apart.reach(math.comb(len(values), 2)))

    @property
    def differ(self) -> bool:
        """Whether the difference exceeds what chance gives the extremes of equal values."""
        return self.apart.value > self.reach


def by_domain(scope: Scope, rows: Sequence[Row]) -> Insight | None:
    """Compare the loss between domains, for a variant of a typical type."""
    names = sorted(scope.selection.domains) or scope.results.domains
    row = min(one_type(rows), key=lambda r: (r["ln_ppl_ratio"], r["variant_id"]))
    parts = {name: replace(scope.selection, domains=frozenset({name})) for name in names}
    weights = {row["variant_id"]: 1.0}
    windows = {name: scope.results.windows(str(row["variant_id"]), part) for name, part in parts.items()}
    measured = [name for name, frame in windows.items() if frame is not None and frame.height > 1]
    losses = {
        n: loss
        for n in measured
        if (loss := combine(replace(scope, selection=parts[n]), [row], weights)) is not None
    }
    if len(losses) < 2:
        return None
    ordered = sorted(losses, key=lambda name: (-losses[name].value, name))
    extremes = Extremes.of(losses)
    detail = f"ln PPL ratio: {'; '.join(f'{name} {nats(losses[name])}' for name in ordered)}"
    if not extremes.differ:
        text = f"{row['label']} loses about the same on every text, within the errors."
        return Insight(text, "tie", detail)
    more = f"{formats.with_error(extremes.apart.value, extremes.reach)} nats more"
    text = f"{row['label']} loses {more} on {extremes.most} than on {extremes.least}."
    return Insight(
        text, "finding", f"{detail}; the ± of the difference holds for all pairs of texts together"
    )


def against_noise(rows: Sequence[Row], floor: NoiseFloor | None) -> Insight | None:
    """Name the variants whose divergence is not above that of rounding alone."""
    if floor is None or floor.kld_mean <= 0:
        return None
    known = [row for row in rows if divergence(row).has_error]
    if not known:
        text = "Which variants diverge more than rounding to bf16 is unknown: the error was not measured."
        return Insight(text, "unknown")
    inside = [row["label"] for row in known if divergence(row).low <= floor.kld_mean]
    value = f"{formats.number(floor.kld_mean, 2)} nats"
    if inside:
        text = f"No worse than rounding the baseline to bf16, within the error: {formats.listing(inside)}."
        return Insight(text, "tie", f"noise floor of the mean KLD: {value}")
    least = min(known, key=lambda row: row["kld_mean"])
    times = formats.number(least["kld_mean"] / floor.kld_mean, 2)
    if len(rows) == 1:
        text = f"{least['label']} diverges {times} × as much as rounding to bf16."
        return Insight(text, "finding", f"noise floor of the mean KLD: {value}")
    text = f"Every variant diverges more than rounding to bf16; the closest, {least['label']}, {times} × as much."
    return Insight(text, "finding", f"noise floor of the mean KLD: {value}")


def blind_spot(rows: Sequence[Row]) -> Insight | None:
    """Name variants with no worse perplexity although their distributions changed."""
    hidden = [r for r in rows if log_ratio(r).has_error and log_ratio(r).low <= 0 and divergence(r).low > 0]
    if not hidden:
        return None
    most = max(hidden, key=lambda row: row["kld_mean"])
    text = f"Perplexity shows no loss in {formats.listing([r['label'] for r in hidden])}, but KLD does."
    worst = f"{formats.number(most['kld_mean'])} nats per token ({most['label']})"
    return Insight(text, "caution", f"up to {worst}: gains and losses cancel in perplexity")
