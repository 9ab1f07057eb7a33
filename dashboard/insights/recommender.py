"""Which file to run: stated rules, applied to the picked variants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard import formats
from dashboard.charts import Row, complete
from dashboard.insights.comparison import divergence, log_ratio
from dashboard.insights.statistics import Z95

#: Need, and the rise of perplexity (share) that its 95 % bound must stay under.
NEEDS = (("Nearly lossless", 0.01), ("Everyday use", 0.03), ("Tight on memory", 0.10))
PRIMARY = "Everyday use"


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
        return min(compared, key=lambda row: (row["kld_mean"], row["variant_id"]))
    return min(rows, key=lambda row: (row["ln_ppl_ratio"], row["variant_id"])) if rows else None


def _for_need(need: str, bound: float, rows: Sequence[Row]) -> Recommendation:
    rule = f"smallest file whose perplexity rises by less than {formats.percent(bound, 0)} (95 % upper bound)"
    chosen = smallest_within(rows, bound)
    if chosen is not None:
        return Recommendation(need, rule, chosen, True, _price(chosen))
    nearest = closest(rows)
    if nearest is None:
        return Recommendation(need, rule, None, False, "No selected variant was compared with the baseline.")
    return Recommendation(
        need, rule, nearest, False, f"None keeps the rule; the closest by KLD: {_price(nearest)}"
    )


def _price(row: Row) -> str:
    change = f"{formats.percent_change(row['ln_ppl_ratio'], 1)} perplexity"
    error = row["ln_ppl_ratio_se"]
    interval = f" ± {formats.percent(Z95 * error, 1)}" if error is not None else ""
    kld = f", {formats.number(row['kld_mean'], 2)} nats mean KLD" if row["kld_mean"] is not None else ""
    return f"{change}{interval}{kld}"


def runners_up(rows: Sequence[Row], chosen: Row) -> list[Row]:
    """Files no larger than the chosen one's size + 2 % whose KLD cannot be told from its KLD."""
    others = [r for r in complete(rows, "kld_mean") if r["variant_id"] != chosen["variant_id"]]
    if chosen["kld_mean"] is None:
        return []
    near = [row for row in others if row["size_bytes"] <= 1.02 * chosen["size_bytes"]]
    return [row for row in near if not divergence(row).minus(divergence(chosen)).differs_from_zero]
