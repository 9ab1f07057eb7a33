"""Say what else to know of an answer: files tied with it, files that may be better, and what running it adds."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.insights.advising import Advice
from dashboard.insights.bands import tied_with
from dashboard.insights.claim_rules import Case
from dashboard.insights.comparison import change, log_ratio
from dashboard.insights.engine_gap import is_timed, packing_adds
from dashboard.insights.recommender import Recommendation, runners_up
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.style import formats


def of_recommendation(
    scope: Scope, rows: Sequence[Row], item: Recommendation, *, primary: bool
) -> tuple[str, ...]:
    """Return remarks on a recommendation among `rows`; only of the `primary` one what running it adds."""
    if item.row is None:
        return ()
    rivals = [str(rival["label"]) for rival in _tied(scope, rows, item.row)]
    told = [f"Tied by KLD at this size: {formats.listing(rivals)}"] if rivals else []
    told += [
        f"Undecided: {row['label']} ({change(log_ratio(row))}) may meet the rule too"
        if row is not item.row
        else "Undecided: it may meet the rule, within its error"
        for row in item.contenders[:1]
    ]
    return (*told, *([packing_adds(item.row, scope.selection)] if primary and is_timed(item.row) else []))


def _tied(scope: Scope, rows: Sequence[Row], chosen: Row) -> list[Row]:
    """Return files of one size with the chosen one, tied as a pair, or in the comparison of all sizes together."""
    own = str(chosen["variant_id"])
    pairs = {str(row["variant_id"]) for row in runners_up(scope, rows, chosen)}
    names = pairs | tied_with(Case.of(scope).bands, own)
    return [row for row in rows if str(row["variant_id"]) in names]


def of_advice(scope: Scope, advice: Advice) -> tuple[str, ...]:
    """Return remarks on the best file within the user's limits, or on why there is none."""
    told = []
    if advice.best is not None and is_timed(advice.best.row) and not advice.best.as_run:
        told.append(f"{packing_adds(advice.best.row, scope.selection)}.")
    if advice.runner_up is not None:
        told.append(f"Runner-up: {advice.runner_up.label}")
    return tuple(filter(None, [advice.tied, *told, advice.unmeasured, advice.next_step]))
