"""What rounding the baseline's own weights changes: differences below it mean nothing to anybody."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from evaluator.results.manifest import NoiseFloor


def noise_floor(scope: Scope, rows: Sequence[Row]) -> NoiseFloor | None:
    """Return what rounding does, where that was measured of these rows: on all tokens, with their baseline.

    Rounding moves the tokens of which the baseline is sure much less than the others, and another model by another
    amount, so the floor says nothing about a part of the tokens or about variants of another baseline.
    """
    measured = scope.results.manifest.baseline_id
    if scope.selection.filters_tokens or any(row["baseline_id"] != measured for row in rows):
        return None
    return scope.results.manifest.noise_floor


def least_divergence(scope: Scope, rows: Sequence[Row]) -> float:
    """Return the KLD that rounding the baseline to bf16 causes; 0 where that was not measured."""
    floor = noise_floor(scope, rows)
    return max(0.0, floor.kld_mean) if floor is not None else 0.0
