"""Read the noise floor: the effect of rounding the baseline's own weights."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from evaluator.metrics.estimation import student
from evaluator.results.manifest import NoiseFloor


def noise_floor(scope: Scope, rows: Sequence[Row]) -> NoiseFloor | None:
    """Return the noise floor if it applies to these rows: over all tokens, with the same baseline.

    Rounding changes high-confidence tokens much less than others, and each model differently, so the floor does not
    apply to a part of the tokens or to variants of another baseline.
    """
    measured = scope.results.manifest.baseline_id
    if scope.selection.filters_tokens or any(row["baseline_id"] != measured for row in rows):
        return None
    return scope.results.manifest.noise_floor


def least_divergence(scope: Scope, rows: Sequence[Row]) -> float:
    """Return the KLD of the baseline rounded to bf16; 0 if that was not measured."""
    floor = noise_floor(scope, rows)
    return max(0.0, floor.kld_mean) if floor is not None else 0.0


def reach(floor: NoiseFloor) -> float:
    """Return the upper end of the 95 % interval of the effect of rounding on ln PPL, in nats per token."""
    error = floor.ln_ppl_ratio_se
    return abs(floor.ln_ppl_ratio) + (error * student(floor.n_windows - 1) if error is not None else 0.0)
