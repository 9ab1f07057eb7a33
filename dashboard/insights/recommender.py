"""Which file to run: stated rules, applied to the variants that pass the filters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.insights.comparison import change, gap, log_ratio
from dashboard.results.rows import Row, complete
from dashboard.results.scope import Scope
from dashboard.style import formats

#: Rise of perplexity (share) from which a variant counts as heavily damaged.
HEAVY = 0.10
EVERYDAY = 0.03
#: Need, and the rise of perplexity (share) that its 95 % bound must stay under.
NEEDS = (("Nearly lossless", 0.01), ("Everyday use", EVERYDAY), ("Tight on memory", HEAVY))
PRIMARY = "Everyday use"
#: What "a little more room" means when the next step is priced.
STEP_BYTES = 500_000_000
_STEP_SHARE = 0.25
#: An error over this share of a rule's bound is too wide for the rule.
_RESOLUTION = 0.5
NOT_COMPARED = "No selected variant was compared with the baseline."
#: Files are of the same size when they differ by no larger share.
_SAME_SIZE = 0.02


@dataclass(frozen=True)
class Recommendation:
    """An answer to one need. `met` tells whether `row` keeps the rule or is only the nearest to it.

    `contenders` are smaller files whose error leaves open whether they keep the rule. `doubt` says why the answer
    is provisional, where the errors are too wide for the rule; it is empty where they are not.
    """

    need: str
    rule: str
    row: Row | None
    met: bool
    why: str
    contenders: tuple[Row, ...] = ()
    doubt: str = ""


def recommend(rows: Sequence[Row], none: str = NOT_COMPARED) -> list[Recommendation]:
    """One recommendation per need, from rows of the variants frame without the baseline; `none` explains no rows."""
    found = usable(rows)
    return [_for_need(need, bound, found, none) for need, bound in NEEDS]


def usable(rows: Sequence[Row]) -> list[Row]:
    """Rows that were compared with the baseline, without files that failed."""
    return [row for row in complete(rows, "ln_ppl_ratio") if not row.get("failure")]


def within(rows: Sequence[Row], bound: float) -> list[Row]:
    """Rows whose PPL rise has a 95 % upper bound under `bound` (a share), without files that failed."""
    limit = math.log1p(bound)
    return [row for row in rows if not row.get("failure") and log_ratio(row).high < limit]


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


def _for_need(need: str, bound: float, rows: Sequence[Row], none: str) -> Recommendation:
    rule = f"smallest file whose perplexity rises by less than {formats.percent(bound, 0)} (95 % upper bound)"
    chosen = smallest_within(rows, bound)
    row = chosen or closest(rows)
    if row is None:
        return Recommendation(need, rule, None, False, none)
    why = price(row) if chosen else f"None keeps the rule; the closest by KLD: {price(row)}"
    open_ones = _contenders(rows, bound, chosen)
    doubt = _too_wide([chosen, *open_ones] if chosen else open_ones, bound)
    return Recommendation(need, rule, row, chosen is not None, why, open_ones, doubt)


def _contenders(rows: Sequence[Row], bound: float, chosen: Row | None) -> tuple[Row, ...]:
    """Files, smaller than the chosen one, whose 95 % interval holds the bound: a longer text may let them keep it."""
    limit = math.log1p(bound)
    found = [row for row in rows if log_ratio(row).low < limit <= log_ratio(row).high]
    smaller = [row for row in found if chosen is None or row["size_bytes"] < chosen["size_bytes"]]
    return tuple(sorted(smaller, key=lambda row: (log_ratio(row).value, row["variant_id"])))


def _too_wide(rows: Sequence[Row], bound: float) -> str:
    """Say so where the perplexity of one of `rows` is not known to half of the bound."""
    if not rows:
        return ""
    widest = max(rows, key=lambda row: log_ratio(row).half)
    half = log_ratio(widest).half * math.exp(log_ratio(widest).value)
    if half <= _RESOLUTION * bound:
        return ""
    known = f"only to ± {formats.percent(half)}" if math.isfinite(half) else "without an error"
    return (
        f"the perplexity of {widest['label']} is known {known}, the rule asks for {formats.percent(bound, 0)}"
    )


def price(row: Row) -> str:
    """Say what a variant loses."""
    kld = f", {formats.number(row['kld_mean'], 2)} nats mean KLD" if row["kld_mean"] is not None else ""
    return f"{change(log_ratio(row))} perplexity{kld}"


def runners_up(scope: Scope, rows: Sequence[Row], chosen: Row) -> list[Row]:
    """Files within 2 % of the chosen one's size whose KLD cannot be told from its KLD over the same tokens."""
    others = [r for r in complete(rows, "kld_mean") if r["variant_id"] != chosen["variant_id"]]
    if chosen["kld_mean"] is None:
        return []
    size = chosen["size_bytes"]
    near = [row for row in others if abs(row["size_bytes"] - size) <= _SAME_SIZE * size]
    gaps = [(row, gap(scope, row, chosen, "kld")) for row in near]
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
    def limits(self) -> str:
        """The limits in words; empty where there are none."""
        limits = []
        if self.budget_gb is not None:
            limits.append(f"at most {formats.size(1e9 * self.budget_gb)}")
        if self.min_tps is not None:
            limits.append(f"at least {formats.number(self.min_tps)} tokens/s decoded")
        if self.floor is not None:
            limits.append(f"perplexity up by less than {formats.percent(self.floor)} at its 95 % bound")
        return formats.listing(limits) if limits else ""

    @property
    def wants_smallest(self) -> bool:
        """Whether only quality is limited: then the smallest file that keeps it is wanted, else the closest."""
        return self.floor is not None and self.budget_gb is None and self.min_tps is None

    @property
    def rule(self) -> str:
        """The rule in words."""
        if self.wants_smallest:
            return f"smallest file of {self.limits}"
        among = f" among files of {self.limits}" if self.limits else ""
        return f"lowest mean KLD{among}; the context's memory comes on top of the file"

    def best(self, rows: Sequence[Row]) -> Row | None:
        """Return the best of the rows that keep the limits."""
        if not self.wants_smallest:
            return closest(rows)
        return min(rows, key=lambda row: (row["size_bytes"], row["variant_id"])) if rows else None


@dataclass(frozen=True)
class Advice:
    """The best variant for a need, the one after it, and what a little more room would buy."""

    best: Row | None
    runner_up: Row | None
    why: str
    next_step: str
    rule: str


def advise(rows: Sequence[Row], need: Need) -> Advice:
    """Return the best variant that meets `need`; when none does, say which limit stands in the way."""
    found = usable(rows)
    if not found:
        return Advice(None, None, NOT_COMPARED, "", need.rule)
    fitting = fitting_rows(found, need)
    best = need.best(fitting)
    if best is None:
        return Advice(None, None, _obstacle(found, need), "", need.rule)
    others = [row for row in fitting if row["variant_id"] != best["variant_id"]]
    return Advice(best, need.best(others), _reason(best), _next_step(found, need, best), need.rule)


def tokens_per_second(row: Row) -> float | None:
    """Decoded tokens per second at the median; None where it was not timed."""
    median = row["decode_ms_p50"]
    return 1000 / median if median else None


def fitting_rows(rows: Sequence[Row], need: Need) -> list[Row]:
    """Rows that keep every limit."""
    found = list(rows)
    if need.budget_gb is not None:
        found = [row for row in found if row["size_bytes"] <= 1e9 * need.budget_gb]
    if need.min_tps is not None:
        found = [row for row in found if (tokens_per_second(row) or 0.0) >= need.min_tps]
    return within(found, need.floor) if need.floor is not None else found


def _reason(row: Row) -> str:
    speed = tokens_per_second(row)
    decoded = f", {formats.number(speed)} tokens/s as packed ONNX" if speed is not None else ""
    return f"{formats.size(row['size_bytes'])}{decoded}, {price(row)}"


def _obstacle(rows: Sequence[Row], need: Need) -> str:
    """Name the limit that no variant keeps, else that they conflict."""
    smallest = min(rows, key=lambda row: (row["size_bytes"], row["variant_id"]))
    if need.budget_gb is not None and not fitting_rows(rows, Need(budget_gb=need.budget_gb)):
        return f"None is that small: the smallest, {smallest['label']}, takes {formats.size(smallest['size_bytes'])}."
    if need.min_tps is not None and not fitting_rows(rows, Need(min_tps=need.min_tps)):
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
    """Say what 0.5 GB more (for small models a quarter of the file) would buy; empty where no file is larger."""
    if need.wants_smallest or all(row["size_bytes"] <= best["size_bytes"] for row in rows):
        return ""
    limit = 1e9 * need.budget_gb if need.budget_gb is not None else float(best["size_bytes"])
    more = min(STEP_BYTES, _STEP_SHARE * max(limit, best["size_bytes"]))
    wider = Need((limit + more) / 1e9, need.min_tps, need.floor)
    better = closest(fitting_rows(rows, wider))
    if better is None or better["variant_id"] == best["variant_id"]:
        return f"No file of up to {formats.size(more)} more is closer."
    return f"{formats.size(more)} more would buy {better['label']}: {_reason(better)}."
