"""What is lost at 8 and at 4 bits, on which texts, against rounding alone, and what perplexity does not see."""

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
from evaluator.results.manifest import NoiseFloor

_EIGHT = 7.5
_FOUR = (4.0, 5.0)


def at_eight(rows: Sequence[Row]) -> Insight:
    """Bound the rise of perplexity at 7.5 bits and up."""
    high = [row for row in rows if row["bits_per_weight"] >= _EIGHT]
    if not high:
        return Insight("Nothing of 7.5 bits or more is selected: the cost of 8 bits is not told.", "unknown")
    rise, known = worst_rise(high)
    kld = max(row["kld_mean"] for row in high)
    detail = f"95 % bound, variants: {len(high)}; mean KLD up to {formats.number(kld)} nats"
    return Insight(
        f"At 7.5 bits and up perplexity rises by {rise}.", "finding" if known else "unknown", detail
    )


def worst_rise(rows: Sequence[Row]) -> tuple[str, bool]:
    """Bound the rise of perplexity over at least one variant, in words, and say whether every error is known."""
    unknown = [row for row in rows if not log_ratio(row).has_error]
    if unknown:
        worst = max(unknown, key=lambda row: (row["ln_ppl_ratio"], row["variant_id"]))
        rise = formats.percent_change(worst["ln_ppl_ratio"])
        return f"{rise} ({worst['label']}), but its error was not measured", False
    worst = max(rows, key=lambda row: (log_ratio(row).high, row["variant_id"]))
    return f"at most {formats.percent_change(log_ratio(worst).high)} ({worst['label']})", True


def at_four(rows: Sequence[Row]) -> Insight:
    """Tell what the best variant of 4 to 5 measured bits keeps."""
    four = [row for row in rows if _FOUR[0] <= row["bits_per_weight"] < _FOUR[1]]
    if not four:
        return Insight("No selected variant measures 4 to 5 bits per weight.", "unknown")
    best = max(four, key=lambda row: (-row["ln_ppl_ratio"], row["variant_id"]))
    loss = log_ratio(best)
    same = f"; same top token {formats.percent(best['same_top'])}" if best["same_top"] is not None else ""
    who = "there is" if len(four) == 1 else "the best is"
    kept, detail = formats.percent(math.exp(-loss.value)), f"variants: {len(four)}{same}"
    text = f"Between 4 and 5 bits {who} {best['label']}, which keeps {kept}"
    if not loss.has_error:
        text = f"{text} of the accuracy, but its error was not measured."
        return Insight(text, "unknown", f"PPL of the baseline / PPL; {detail}")
    ends = f"{formats.percent(math.exp(-loss.high))}–{formats.percent(math.exp(-loss.low))}"
    text = f"{text} ({ends}) of the accuracy."
    return Insight(text, "finding", f"PPL of the baseline / PPL, 95 %; {detail}")


@dataclass(frozen=True)
class Extremes:
    """The largest and the smallest of at least two independent values, how far apart, and the error of that.

    `reach` is half the width of the interval that all pairs of the values hold at once with 95 %.
    """

    most: str
    least: str
    apart: Estimate
    reach: float

    @classmethod
    def of(cls, values: Mapping[str, Estimate]) -> Extremes:
        """Find the extremes; by name where values are equal."""
        ordered = sorted(values, key=lambda name: (-values[name].value, name))
        apart = values[ordered[0]].minus(values[ordered[-1]])
        return cls(ordered[0], ordered[-1], apart, apart.reach(math.comb(len(values), 2)))

    @property
    def differ(self) -> bool:
        """Whether the two are apart by more than extremes of equal values are by chance."""
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
    found = Extremes.of(losses)
    detail = f"ln PPL ratio: {'; '.join(f'{name} {nats(losses[name])}' for name in ordered[:4])}"
    if not found.differ:
        text = f"{row['label']} loses no more on one text than on another, within the errors."
        return Insight(text, "tie", detail)
    more = f"{formats.with_error(found.apart.value, found.reach)} nats more"
    text = f"{row['label']} loses {more} on {found.most} than on {found.least}."
    return Insight(text, "finding", f"{detail}; the ± of the difference holds for any two texts")


def against_noise(rows: Sequence[Row], floor: NoiseFloor | None) -> Insight | None:
    """Name the variants whose divergence is not above what rounding alone causes."""
    if floor is None or floor.kld_mean <= 0:
        return None
    known = [row for row in rows if divergence(row).has_error]
    if not known:
        text = "Who diverges more than rounding to bf16 does cannot be told: the error was not measured."
        return Insight(text, "unknown")
    inside = [row["label"] for row in known if divergence(row).low <= floor.kld_mean]
    value = f"{formats.number(floor.kld_mean, 2)} nats"
    if inside:
        text = f"{formats.listing(inside)} cannot be told from rounding the baseline to bf16."
        return Insight(text, "tie", f"noise floor of the mean KLD: {value}")
    least = min(known, key=lambda row: row["kld_mean"])
    times = formats.number(least["kld_mean"] / floor.kld_mean, 2)
    text = (
        f"Every variant diverges more than rounding to bf16 does; the closest, {least['label']}, {times} ×."
    )
    return Insight(text, "finding", f"noise floor of the mean KLD: {value}")


def blind_spot(rows: Sequence[Row]) -> Insight | None:
    """Variants that perplexity calls equal or better while the distributions moved."""
    hidden = [r for r in rows if log_ratio(r).has_error and log_ratio(r).low <= 0 and divergence(r).low > 0]
    if not hidden:
        return None
    most = max(hidden, key=lambda row: row["kld_mean"])
    text = f"Perplexity sees no loss in {formats.listing([r['label'] for r in hidden])}, KLD does."
    worst = f"{formats.number(most['kld_mean'])} nats per token ({most['label']})"
    return Insight(text, "caution", f"up to {worst}: gains and losses cancel in perplexity")
