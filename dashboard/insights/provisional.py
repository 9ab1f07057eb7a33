"""Say why answers and claims are provisional: the run is not finished, or too few tokens were scored."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from dashboard.insights.faults import sound
from dashboard.results.results import Results
from dashboard.results.rows import Row, one_place
from dashboard.results.scope import Scope
from dashboard.style import formats

#: Much of a loss is in rare tokens, which shorter texts miss; with fewer windows the clustered error itself is
#: uncertain by a third or more.
LEAST_TOKENS, LEAST_WINDOWS = 1000, 10


def provisional(scope: Scope) -> str:
    """Say why statements about the selection are provisional; empty if they are not."""
    return "; ".join(doubts(scope, sound(scope.results, one_place(scope.rows))))


def doubts(scope: Scope, rows: Sequence[Row]) -> list[str]:
    """Return the reasons why answers about `rows`, all of one model, are provisional: the run, the sample, variants.

    Errors too wide for a rule are reported with each recommendation.
    """
    if not rows:
        return []
    reasons = [_unfinished(scope.results, rows[0]["model"]), _small(rows), _shorter(scope, rows)]
    return [reason for reason in reasons if reason]


def _unfinished(results: Results, model: str) -> str:
    """Say if variants of a model are still to come or missing; of all models if it has no manifest of its own."""
    manifest, measured = results.manifest, results.measured
    if own := next((run for run in manifest.each if run.model == model), None):
        manifest, measured = own, measured.filter(pl.col("model") == model)
    planned, n_measured = manifest.n_planned or 0, measured.height
    if manifest.ended is None:
        of_planned = f": {n_measured} of {planned} variants measured" if planned else ""
        return f"the run is not finished{of_planned}"
    missing = planned - n_measured - len(manifest.failures)
    return f"{missing} of {planned} planned variants are missing" if missing > 0 else ""


def _small(rows: Sequence[Row]) -> str:
    """Say if even the variant with the most tokens and windows has too few."""
    tokens = max(row["n_tokens"] for row in rows)
    windows = max(row["n_windows"] or 0 for row in rows)
    if tokens >= LEAST_TOKENS and windows >= LEAST_WINDOWS:
        return ""
    in_windows = f"{windows} window{'' if windows == 1 else 's'}"
    least = f"{formats.count(LEAST_TOKENS)} in {LEAST_WINDOWS}"
    return (
        f"only {formats.count(tokens)} tokens in {in_windows} are scored here (at least {least} are needed)"
    )


def _shorter(scope: Scope, rows: Sequence[Row]) -> str:
    """Name variants scored on fewer tokens than their baseline; failed ones are reported elsewhere."""
    compared = {row["baseline_id"]: row for row in rows}
    wholes = {name: int(scope.baseline_of(row)["n_tokens"]) for name, row in compared.items()}
    shorter = []
    for row in rows:
        whole = wholes[row["baseline_id"]]
        if not row.get("failure") and row["n_tokens"] < whole:
            shorter.append(f"{row['label']} on {formats.count(row['n_tokens'])} of {formats.count(whole)}")
    return f"not all tokens were scored: {formats.listing(shorter)}" if shorter else ""
