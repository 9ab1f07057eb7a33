"""Recommend files for common needs, by stated rules, from the variants that pass the filters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.insights.bands import SAME_SIZE
from dashboard.insights.comparison import change, gap, log_ratio
from dashboard.results.rows import SAME_BYTES, Row, complete
from dashboard.results.scope import Scope
from dashboard.style import formats

#: Rise of perplexity (share) from which a variant counts as heavily damaged.
HEAVY = 0.10
EVERYDAY = 0.03
#: Needs, and the rise of perplexity (share) that the 95 % upper bound must stay under.
NEEDS = (("Nearly lossless", 0.01), ("Everyday use", EVERYDAY), ("Tight on memory", HEAVY))
PRIMARY = "Everyday use"
#: Largest error for a rule, as a share of its bound.
_RESOLUTION = 0.5
NOT_COMPARED = "No selected variant was compared with the baseline."


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
    """Return the smallest file whose PPL rise has a 95 % upper bound under `bound` (a share).

    Of files of this size, which differ in padding and metadata only, it is the closest to the baseline.
    """
    safe = within(rows, bound)
    least = min((row["size_bytes"] for row in safe), default=0)
    return closest([row for row in safe if row["size_bytes"] <= least * (1 + SAME_BYTES)])


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
    smaller = [
        row
        for row in open_ones
        if chosen is None or row["size_bytes"] < chosen["size_bytes"] * (1 - SAME_BYTES)
    ]
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


def of_size(size: float, rows: Sequence[Row]) -> list[Row]:
    """Return the files within 1 % of a size in bytes."""
    return [row for row in rows if abs(row["size_bytes"] - size) <= SAME_SIZE * size]


def runners_up(scope: Scope, rows: Sequence[Row], chosen: Row) -> list[Row]:
    """Return files within 1 % of the chosen one's size whose KLD over the same tokens is tied with its KLD."""
    others = [r for r in complete(rows, "kld_mean") if r["variant_id"] != chosen["variant_id"]]
    if chosen["kld_mean"] is None:
        return []
    gaps = [(row, gap(scope, row, chosen, "kld")) for row in of_size(chosen["size_bytes"], others)]
    return [row for row, ahead in gaps if ahead and ahead.has_error and not ahead.differs_from_zero]
