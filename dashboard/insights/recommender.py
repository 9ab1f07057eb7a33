"""Recommend files to run, by stated rules, from the variants that pass the filters."""

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
#: Needs, and the rise of perplexity (share) that the 95 % upper bound must stay under.
NEEDS = (("Nearly lossless", 0.01), ("Everyday use", EVERYDAY), ("Tight on memory", HEAVY))
PRIMARY = "Everyday use"
#: How much larger the file suggested as the next step may be.
STEP_BYTES = 500_000_000
_STEP_SHARE = 0.25
#: Largest error for a rule, as a share of its bound.
_RESOLUTION = 0.5
NOT_COMPARED = "No selected variant was compared with the baseline."
#: Files are of equal size if they differ by at most this share.
_SAME_SIZE = 0.02


@dataclass(frozen=True)
class Recommendation:
    """An answer to one need. `met` is whether `row` meets the rule or only comes closest.

    `contenders` are smaller files that may meet the rule, within their error. `doubt` says why the answer is
    provisional, if the errors are too wide for the rule.
    """

    need: str
    rule: str
    row: Row | None
    met: bool
    why: str
    contenders: tuple[Row, ...] = ()
    doubt: str = ""


def recommend(rows: Sequence[Row], none: str = NOT_COMPARED) -> list[Recommendation]:
    """Return one recommendation per need from rows without baselines; `none` says why there are no rows."""
    candidates = usable(rows)
    return [_for_need(need, bound, candidates, none) for need, bound in NEEDS]


def usable(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that were compared with the baseline, without failed files."""
    return [row for row in complete(rows, "ln_ppl_ratio") if not row.get("failure")]


def within(rows: Sequence[Row], bound: float) -> list[Row]:
    """Return the rows whose PPL rise has a 95 % upper bound under `bound` (a share), without failed files."""
    limit = math.log1p(bound)
    return [row for row in rows if not row.get("failure") and log_ratio(row).high < limit]


def smallest_within(rows: Sequence[Row], bound: float) -> Row | None:
    """Return the smallest file whose PPL rise has a 95 % upper bound under `bound` (a share)."""
    safe = within(rows, bound)
    return min(safe, key=lambda row: (row["size_bytes"], row["variant_id"])) if safe else None


def closest(rows: Sequence[Row]) -> Row | None:
    """Return the variant with the lowest mean KLD, or perplexity if KLD was not measured."""
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
    why = price(row) if chosen else f"No file meets the rule; the closest by KLD: {price(row)}"
    open_ones = _contenders(rows, bound, chosen)
    doubt = _too_wide([chosen, *open_ones] if chosen else open_ones, bound)
    return Recommendation(need, rule, row, chosen is not None, why, open_ones, doubt)


def _contenders(rows: Sequence[Row], bound: float, chosen: Row | None) -> tuple[Row, ...]:
    """Return files smaller than the chosen one whose 95 % interval includes the bound."""
    limit = math.log1p(bound)
    open_ones = [row for row in rows if log_ratio(row).low < limit <= log_ratio(row).high]
    smaller = [row for row in open_ones if chosen is None or row["size_bytes"] < chosen["size_bytes"]]
    return tuple(sorted(smaller, key=lambda row: (log_ratio(row).value, row["variant_id"])))


def _too_wide(rows: Sequence[Row], bound: float) -> str:
    """Say if the perplexity error of one of `rows` is over half the bound; else empty."""
    if not rows:
        return ""
    widest = max(rows, key=lambda row: log_ratio(row).half)
    half = log_ratio(widest).half * math.exp(log_ratio(widest).value)
    if half <= _RESOLUTION * bound:
        return ""
    if not math.isfinite(half):
        return f"the error of {widest['label']}'s perplexity was not measured"
    known = f"the perplexity of {widest['label']} is known only to ± {formats.percent(half)}"
    return f"{known}, too wide for a limit of {formats.percent(bound, 0)}"


def price(row: Row) -> str:
    """Write what a variant loses."""
    kld = f", {formats.number(row['kld_mean'], 2)} nats mean KLD" if row["kld_mean"] is not None else ""
    return f"{change(log_ratio(row))} perplexity{kld}"


def runners_up(scope: Scope, rows: Sequence[Row], chosen: Row) -> list[Row]:
    """Return files within 2 % of the chosen one's size whose KLD over the same tokens is tied with its KLD."""
    others = [r for r in complete(rows, "kld_mean") if r["variant_id"] != chosen["variant_id"]]
    if chosen["kld_mean"] is None:
        return []
    size = chosen["size_bytes"]
    near = [row for row in others if abs(row["size_bytes"] - size) <= _SAME_SIZE * size]
    gaps = [(row, gap(scope, row, chosen, "kld")) for row in near]
    return [row for row, ahead in gaps if ahead and ahead.has_error and not ahead.differs_from_zero]


@dataclass(frozen=True)
class Need:
    """The user's limits; None means no limit.

    `budget_gb` bounds the file's size (GB = 10⁹ bytes), `min_tps` asks for decoded tokens per second,
    `floor` bounds the rise of perplexity (a share) at its 95 % upper bound.
    """

    budget_gb: float | None = None
    min_tps: float | None = None
    floor: float | None = None

    @property
    def limits(self) -> str:
        """The limits in words; empty without limits."""
        limits = []
        if self.budget_gb is not None:
            limits.append(f"at most {formats.size(1e9 * self.budget_gb)}")
        if self.min_tps is not None:
            limits.append(f"at least {formats.number(self.min_tps)} tokens/s decoded")
        if self.floor is not None:
            limits.append(f"perplexity up by less than {formats.percent(self.floor)} at the 95 % bound")
        return formats.listing(limits) if limits else ""

    @property
    def wants_smallest(self) -> bool:
        """Whether only quality is limited: then the smallest fitting file is the best, else the closest one."""
        return self.floor is not None and self.budget_gb is None and self.min_tps is None

    @property
    def rule(self) -> str:
        """The rule in words."""
        if self.wants_smallest:
            return f"smallest file with {self.limits}"
        among = f" among files with {self.limits}" if self.limits else ""
        return f"lowest mean KLD{among}; the context needs memory in addition to the file"

    def best(self, rows: Sequence[Row]) -> Row | None:
        """Return the best of `rows`, which all meet the limits."""
        if not self.wants_smallest:
            return closest(rows)
        return min(rows, key=lambda row: (row["size_bytes"], row["variant_id"])) if rows else None


@dataclass(frozen=True)
class Advice:
    """The best variant for a need, the second best, and the best one for a little more memory."""

    best: Row | None
    runner_up: Row | None
    why: str
    next_step: str
    rule: str


def advise(rows: Sequence[Row], need: Need) -> Advice:
    """Return the best variant that meets `need`, or say which limit none meets."""
    candidates = usable(rows)
    if not candidates:
        return Advice(None, None, NOT_COMPARED, "", need.rule)
    fitting = fitting_rows(candidates, need)
    best = need.best(fitting)
    if best is None:
        return Advice(None, None, _obstacle(candidates, need), "", need.rule)
    others = [row for row in fitting if row["variant_id"] != best["variant_id"]]
    return Advice(best, need.best(others), _reason(best), _next_step(candidates, need, best), need.rule)


def tokens_per_second(row: Row) -> float | None:
    """Return decoded tokens per second at the median; None if not timed."""
    median = row["decode_ms_p50"]
    return 1000 / median if median else None


def fitting_rows(rows: Sequence[Row], need: Need) -> list[Row]:
    """Return the rows that meet every limit."""
    fitting = list(rows)
    if need.budget_gb is not None:
        fitting = [row for row in fitting if row["size_bytes"] <= 1e9 * need.budget_gb]
    if need.min_tps is not None:
        fitting = [row for row in fitting if (tokens_per_second(row) or 0.0) >= need.min_tps]
    return within(fitting, need.floor) if need.floor is not None else fitting


def _reason(row: Row) -> str:
    speed = tokens_per_second(row)
    decoded = f", {formats.number(speed)} tokens/s as packed ONNX" if speed is not None else ""
    return f"{formats.size(row['size_bytes'])}{decoded}, {price(row)}"


def _obstacle(rows: Sequence[Row], need: Need) -> str:
    """Name the limit that no variant meets, else say that the limits conflict."""
    smallest = min(rows, key=lambda row: (row["size_bytes"], row["variant_id"]))
    if need.budget_gb is not None and not fitting_rows(rows, Need(budget_gb=need.budget_gb)):
        size = formats.size(smallest["size_bytes"])
        return f"No file is that small: the smallest, {smallest['label']}, takes {size}."
    if need.min_tps is not None and not fitting_rows(rows, Need(min_tps=need.min_tps)):
        timed = [row for row in rows if tokens_per_second(row) is not None]
        if not timed:
            return "Speed was not measured for any selected variant."
        fastest = max(timed, key=lambda row: (tokens_per_second(row) or 0.0, row["variant_id"]))
        speed = formats.number(tokens_per_second(fastest) or 0.0)
        return f"No file is that fast: the fastest, {fastest['label']}, decodes {speed} tokens/s."
    if need.floor is not None and not within(rows, need.floor):
        nearest = min(rows, key=lambda row: (log_ratio(row).high, row["variant_id"]))
        return f"No file meets that quality limit: the nearest is {nearest['label']}, {price(nearest)}."
    return "Each limit is met by some file, but no file meets them all."


def _next_step(rows: Sequence[Row], need: Need, best: Row) -> str:
    """Name the best file up to 0.5 GB larger (for small models a quarter); empty if no file is larger."""
    if need.wants_smallest or all(row["size_bytes"] <= best["size_bytes"] for row in rows):
        return ""
    limit = 1e9 * need.budget_gb if need.budget_gb is not None else float(best["size_bytes"])
    more = min(STEP_BYTES, _STEP_SHARE * max(limit, best["size_bytes"]))
    wider = Need((limit + more) / 1e9, need.min_tps, need.floor)
    better = closest(fitting_rows(rows, wider))
    if better is None or better["variant_id"] == best["variant_id"]:
        return f"With up to {formats.size(more)} more, no file is closer."
    return f"With up to {formats.size(more)} more: {better['label']}, {_reason(better)}."
