"""Find, on every axis of the radar, the files that may be the best; within their errors files are level."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dashboard.insights.bands import tied_with
from dashboard.insights.claim_rules import Case
from dashboard.insights.leaders import FIDELITY, PREFILL, TAIL, contenders
from dashboard.insights.speed_order import PREFILL_RATE, fastest, with_rates
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.results.statistics import Estimate

#: The share of tokens below the percentile of the tail, and the percentiles on both sides of it.
_SHARE, _BELOW, _ABOVE = 0.99, (0.95, "kld_p950"), (0.999, "kld_p999")


def standings(scope: Scope, rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return, per metric that all rows have, the rows that may be the best, the best measured one first.

    Means are compared over the same tokens; see `leaders.contenders`. Files that are tied by KLD at their size
    (`bands`) are level here, too. Sizes within 1 % are level; for speeds see `speed_order.is_faster`.
    """
    if len(rows) < 2:
        return {}
    found = contenders(scope, rows)
    if FIDELITY in found:
        found[FIDELITY] += _tied_at_their_size(scope, rows, found[FIDELITY])
    tails = [tail(row) for row in rows]
    if all(estimate is not None and estimate.has_error for estimate in tails):
        found[TAIL] = _least([(row, one) for row, one in zip(rows, tails, strict=True) if one is not None])
    prefill = _prefill(scope, rows)
    if prefill:
        found[PREFILL] = prefill
    return found


def _tied_at_their_size(scope: Scope, rows: Sequence[Row], level: Sequence[Row]) -> list[Row]:
    """Return the rows that the comparison at equal size does not tell from the first of `level`, without those."""
    best, known = str(level[0]["variant_id"]), {row["variant_id"] for row in level}
    tied = tied_with(Case.of(scope).bands, best)
    return [row for row in rows if row["variant_id"] not in known and row["variant_id"] in tied]


def tail(row: Row) -> Estimate | None:
    """Return the KLD that 99 % of tokens stay below, with its error; None if it was not measured.

    The variance of a sample quantile is p (1 − p) / (n f²), f being the density there (van der Vaart 1998, Asymptotic
    Statistics, 21.2). f follows from the percentiles on both sides, between which the tail is taken as exponential:
    with q(p) = −β ln(1 − p) + c it is (1 − p) / β. The error grows by the factor by which that of the mean grows if
    it is clustered by window.
    """
    names = ("kld_p990", _BELOW[1], _ABOVE[1])
    if any(row[name] is None for name in names):
        return None
    if not row["kld_se"] or not row["kld_se_clustered"] or not row["n_tokens"]:
        return Estimate(row["kld_p990"], math.inf)
    rate = (row[_ABOVE[1]] - row[_BELOW[1]]) / math.log((1 - _BELOW[0]) / (1 - _ABOVE[0]))
    error = rate * math.sqrt(_SHARE / ((1 - _SHARE) * row["n_tokens"]))
    return Estimate(row["kld_p990"], error * max(1.0, row["kld_se_clustered"] / row["kld_se"]))


def _least(known: Sequence[tuple[Row, Estimate]]) -> list[Row]:
    """Return the row with the least value, and those whose difference from it is within its 95 % interval.

    The two count as independent, which is on the safe side: errors over the same tokens go together.
    """
    ordered = sorted(known, key=lambda item: (item[1].value, str(item[0]["variant_id"])))
    best = ordered[0][1]

    def is_level(one: Estimate) -> bool:
        return not Estimate(one.value - best.value, math.hypot(one.se, best.se)).differs_from_zero

    return [row for place, (row, one) in enumerate(ordered) if place == 0 or is_level(one)]


def _prefill(scope: Scope, rows: Sequence[Row]) -> list[Row]:
    """Return the rows that may read prompts fastest; none unless all were timed."""
    known = with_rates(scope.results, rows, "prefill")
    if any(row[name] is None for row in known for name in PREFILL_RATE):
        return []
    of = {row["variant_id"]: row for row in rows}
    return [of[row["variant_id"]] for row in fastest(scope.results, known, "prefill")]
