"""When an answer is provisional: the run is not finished, or what was scored is too little to decide."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.results.results import Results
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.style import formats

#: Rare tokens carry much of a loss and are missed in a shorter text; with fewer windows the error, which is
#: clustered by window, is itself known to a third at best.
LEAST_TOKENS, LEAST_WINDOWS = 1000, 10


def doubts(scope: Scope, rows: Sequence[Row]) -> list[str]:
    """Say why answers about `rows` are provisional: of the run, the sample, single variants; empty if they are not.

    That the errors are too wide for a rule is told of each recommendation.
    """
    if not rows:
        return []
    found = [_unfinished(scope.results), _small(rows), _shorter(scope, rows)]
    return [reason for reason in found if reason]


def _unfinished(results: Results) -> str:
    manifest, measured = results.manifest, results.measured.height
    planned = manifest.n_planned or 0
    if manifest.ended is None:
        of_planned = f": {measured} of {planned} variants measured" if planned else ""
        return f"the run is not finished{of_planned}"
    missing = planned - measured - len(manifest.failures)
    return f"{missing} of {planned} planned variants are missing" if missing > 0 else ""


def _small(rows: Sequence[Row]) -> str:
    """Tell of too few tokens or windows, of the variant with the most of them."""
    tokens = max(row["n_tokens"] for row in rows)
    windows = max(row["n_windows"] or 0 for row in rows)
    if tokens >= LEAST_TOKENS and windows >= LEAST_WINDOWS:
        return ""
    in_windows = f"{windows} window{'' if windows == 1 else 's'}"
    least = f"{formats.count(LEAST_TOKENS)} in {LEAST_WINDOWS}"
    return f"only {formats.count(tokens)} tokens in {in_windows} count here, where it takes {least}"


def _shorter(scope: Scope, rows: Sequence[Row]) -> str:
    """Name variants that were scored on fewer tokens than their baseline; those that failed are told elsewhere."""
    found = []
    for row in rows:
        whole = int(scope.baseline_of(row)["n_tokens"])
        if not row.get("failure") and row["n_tokens"] < whole:
            found.append(f"{row['label']} on {formats.count(row['n_tokens'])} of {formats.count(whole)}")
    return f"not all tokens were scored: {formats.listing(found)}" if found else ""
