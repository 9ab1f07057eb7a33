"""Judge the claims of view 7: the distribution of Δ log p."""

from __future__ import annotations

from collections.abc import Callable

from dashboard.insights import Claim
from dashboard.insights.claim_rules import BARTOWSKI, MAIN, UNSLOTH, Case, absent, extreme, untestable
from dashboard.insights.claims import JUDGES
from dashboard.insights.matching import one_type, types_of
from dashboard.results.statistics import Estimate
from dashboard.results.token_summaries import DeltaSummary
from dashboard.style import formats

_NARROW = "bartowski's Δ log p is the narrowest."
_TAILS = "main has the widest tails."
_NEAR = "unsloth is the most concentrated around zero."


@JUDGES.register("delta-logp")
def claims(case: Case) -> list[Claim]:
    """Judge width, tails and centre between variants of one type."""
    rows = one_type(case.compared)
    summaries = {
        row["method"]: case.scope.results.delta(str(row["variant_id"]), case.scope.selection) for row in rows
    }
    known = {method: summary for method, summary in summaries.items() if summary is not None}
    types = types_of(rows)
    return [
        _extreme(
            _NARROW, case, BARTOWSKI, known, lambda s: s.iqr, f"interquartile range in nats, {types}", -1
        ),
        _extreme(_TAILS, case, MAIN, known, lambda s: s.width, f"p1 to p99 in nats, {types}", 1),
        _extreme(_NEAR, case, UNSLOTH, known, lambda s: s.near_zero, f"share within ±0.05 nats, {types}", 1),
    ]


def _extreme(
    text: str,
    case: Case,
    method: str,
    known: dict[str, DeltaSummary],
    of: Callable[[DeltaSummary], Estimate],
    measure: str,
    direction: int,
) -> Claim:
    """Judge that `method` has the largest (`direction` 1) or smallest (−1) value by more than the error."""
    name = case.name(method)
    if name is None:
        return absent(text, case, method)
    values = {m: of(summary) for m, summary in known.items()}
    if name not in values or len(values) < 2:
        return untestable(
            text, f"the scored tokens of a file of {name} and of another method's at equal bits"
        )
    numbers = [f"{m} {formats.with_error(value.value, value.half)}" for m, value in values.items()]
    ahead = {m: values[name].minus(value).times(direction) for m, value in values.items() if m != name}
    return extreme(text, name, ahead, f"{formats.listing(numbers, 6)}: {measure}.")
