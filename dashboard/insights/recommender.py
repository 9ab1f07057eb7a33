"""Which file to run: stated rules, applied to the variants that pass the filters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard import formats
from dashboard.charts import Row, complete
from dashboard.insights.comparison import change, gap, log_ratio
from dashboard.results import Results
from dashboard.selection import Selection

#: Rise of perplexity (share) from which a variant counts as heavily damaged.
HEAVY = 0.10
EVERYDAY = 0.03
#: Need, and the rise of perplexity (share) that its 95 % bound must stay under.
NEEDS = (("Nearly lossless", 0.01), ("Everyday use", EVERYDAY), ("Tight on memory", HEAVY))
PRIMARY = "Everyday use"
#: What "a little more room" means when the next step is priced.
STEP_BYTES = 500_000_000
_STEP_SHARE = 0.25
#: Files are of the same size when they differ by no larger share.
_SAME_SIZE = 0.02


@dataclass(frozen=True)
class Recommendation:
    """An answer to one need. `met` tells whether `row` keeps the rule or is only the nearest to it."""

    need: str
    rule: str
    row: Row | None
    met: bool
    why: str


def recommend(rows: Sequence[Row]) -> list[Recommendation]:
    """One recommendation per need, from rows of the variants frame without the baseline."""
    usable = complete(rows, "ln_ppl_ratio")
    return [_for_need(need, bound, usable) for need, bound in NEEDS]


def within(rows: Sequence[Row], bound: float) -> list[Row]:
    """Rows whose PPL rise has a 95 % upper bound under `bound` (a share)."""
    return [row for row in rows if math.expm1(log_ratio(row).high) < bound]


def smallest_within(rows: Sequence[Row], bound: float) -> Row | None:
    """Return the smallest file whose PPL rise has a 95 % upper bound under `bound` (a share)."""
    safe = within(rows, bound)
    return min(safe, key=lambda row: (row["size_bytes"], row["variant_id"])) if safe else None


def closest(rows: Sequence[Row]) -> Row | None:
    """Return the variant with the lowest mean KLD; by perplexity where KLD was not measured."""
    compared = complete(rows, "kld_mean")
    if compared:
        return min(compared, key=lambda row: (row["kld_mean"], row["size_bytes"], row["variant_id"]))
    return min(rows, key=lambda row: (row["ln_ppl_ratio"], row["variant_id"])) if rows else None


def _for_need(need: str, bound: float, rows: Sequence[Row]) -> Recommendation:
    rule = f"smallest file whose perplexity rises by less than {formats.percent(bound, 0)} (95 % upper bound)"
    chosen = smallest_within(rows, bound)
    if chosen is not None:
        return Recommendation(need, rule, chosen, True, price(chosen))
    nearest = closest(rows)
    if nearest is None:
        return Recommendation(need, rule, None, False, "No selected variant was compared with the baseline.")
    return Recommendation(
        need, rule, nearest, False, f"None keeps the rule; the closest by KLD: {price(nearest)}"
    )


def price(row: Row) -> str:
    """Say what a variant loses."""
    kld = f", {formats.number(row['kld_mean'], 2)} nats mean KLD" if row["kld_mean"] is not None else ""
    return f"{change(log_ratio(row))} perplexity{kld}"


def runners_up(results: Results, selection: Selection, rows: Sequence[Row], chosen: Row) -> list[Row]:
    """Files within 2 % of the chosen one's size whose KLD cannot be told from its KLD over the same tokens."""
    others = [r for r in complete(rows, "kld_mean") if r["variant_id"] != chosen["variant_id"]]
    if chosen["kld_mean"] is None:
        return []
    size = chosen["size_bytes"]
    near = [row for row in others if abs(row["size_bytes"] - size) <= _SAME_SIZE * size]
    gaps = [(row, gap(results, selection, row, chosen, "kld")) for row in near]
    return [row for row, ahead in gaps if ahead and ahead.has_error and not ahead.differs_from_zero]


@dataclass(frozen=True)
class Need:
    """What somebody has and wants; None means no such limit.

    `budget_gb` bounds the file's size (GB = 10⁹ bytes), `min_tps` asks for decoded tokens per second,
    `floor` bounds the rise of perplexity (a share) at its 95 % upper bound.
    """

    budget_gb: float | None = None
    min_tps: float | None = None
    floor: float | None = None

    @property
    def rule(self) -> str:
        """The rule in words."""
        limits = []
        if self.budget_gb is not None:
            limits.append(f"at most {formats.number(self.budget_gb)} GB")
        if self.min_tps is not None:
            limits.append(f"at least {formats.number(self.min_tps)} tokens/s decoded")
        if self.floor is not None:
            limits.append(f"perplexity up by less than {formats.percent(self.floor)} (95 % bound)")
        among = f" among files of {formats.listing(limits)}" if limits else ""
        return f"lowest mean KLD{among}; the context's memory comes on top of the file"


@dataclass(frozen=True)
class Advice:
    """The best variant for a need, the one after it, and what a little more room would buy."""

    best: Row | None
    runner_up: Row | None
    why: str
    next_step: str
    rule: str


def advise(rows: Sequence[Row], need: Need) -> Advice:
    """Return the closest variant that meets `need`; when none does, say which limit stands in the way."""
    usable = complete(rows, "ln_ppl_ratio")
    if not usable:
        return Advice(None, None, "No selected variant was compared with the baseline.", "", need.rule)
    fitting = _fitting(usable, need)
    best = closest(fitting)
    if best is None:
        return Advice(None, None, _obstacle(usable, need), "", need.rule)
    others = [row for row in fitting if row["variant_id"] != best["variant_id"]]
    return Advice(best, closest(others), _reason(best), _next_step(usable, need, best), need.rule)


def tokens_per_second(row: Row) -> float | None:
    """Decoded tokens per second at the median; None where it was not timed."""
    median = row["decode_ms_p50"]
    return 1000 / median if median else None


def _fitting(rows: Sequence[Row], need: Need) -> list[Row]:
    found = list(rows)
    if need.budget_gb is not None:
        found = [row for row in found if row["size_bytes"] <= 1e9 * need.budget_gb]
    if need.min_tps is not None:
        found = [row for row in found if (tokens_per_second(row) or 0.0) >= need.min_tps]
    return within(found, need.floor) if need.floor is not None else found


def _reason(row: Row) -> str:
    speed = tokens_per_second(row)
    decoded = f", {formats.number(speed)} tokens/s" if speed is not None else ""
    return f"{formats.size(row['size_bytes'])}{decoded}, {price(row)}"


def _obstacle(rows: Sequence[Row], need: Need) -> str:
    """Name the limit that no variant keeps, else that they conflict."""
    smallest = min(rows, key=lambda row: (row["size_bytes"], row["variant_id"]))
    if need.budget_gb is not None and not _fitting(rows, Need(budget_gb=need.budget_gb)):
        return f"None is that small: the smallest, {smallest['label']}, takes {formats.size(smallest['size_bytes'])}."
    if need.min_tps is not None and not _fitting(rows, Need(min_tps=need.min_tps)):
        timed = [row for row in rows if tokens_per_second(row) is not None]
        if not timed:
            return "Speed was not measured for any selected variant."
        fastest = max(timed, key=lambda row: (tokens_per_second(row) or 0.0, row["variant_id"]))
        speed = formats.number(tokens_per_second(fastest) or 0.0)
        return f"None is that fast: the fastest, {fastest['label']}, decodes {speed} tokens/s."
    if need.floor is not None and not within(rows, need.floor):
        nearest = min(rows, key=lambda row: (log_ratio(row).high, row["variant_id"]))
        return f"None is sure to keep that quality: the nearest is {nearest['label']}, {price(nearest)}."
    return "Each limit is met by some variant, but none meets them all."


def _next_step(rows: Sequence[Row], need: Need, best: Row) -> str:
    """What the next 0.5 GB (for small models a quarter of the file) beyond the budget buy."""
    limit = 1e9 * need.budget_gb if need.budget_gb is not None else float(best["size_bytes"])
    more = min(STEP_BYTES, _STEP_SHARE * max(limit, best["size_bytes"]))
    wider = Need((limit + more) / 1e9, need.min_tps, need.floor)
    better = closest(_fitting(rows, wider))
    if better is None or better["variant_id"] == best["variant_id"]:
        return f"{formats.size(more)} more would buy nothing better."
    return f"{formats.size(more)} more would buy {better['label']}: {_reason(better)}."
