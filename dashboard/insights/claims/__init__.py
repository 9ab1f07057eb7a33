"""Test published claims about quantized models on the data at hand, one module per view.

Each module registers a function from a `Case` to its claims under the view's id, or under `summary`.
"""

from __future__ import annotations

from collections.abc import Callable

from dashboard.insights import Claim
from dashboard.insights.claim_rules import Case
from dashboard.results.scope import Scope
from evaluator.support.registry import Registry

Judge = Callable[[Case], list[Claim]]
JUDGES: Registry[Judge] = Registry("set of claims", __name__)


def claims_of(name: str) -> Callable[[Scope], list[Claim]]:
    """Return the function that judges the claims registered under `name` on the filtered variants."""

    def judged(scope: Scope) -> list[Claim]:
        return JUDGES.get(name)(Case.of(scope))

    return judged


def every(scope: Scope) -> list[tuple[str, list[Claim]]]:
    """Judge all claims; return each view's id (or `summary`) with its claims."""
    case = Case.of(scope)
    return [(name, judge(case)) for name, judge in JUDGES]
