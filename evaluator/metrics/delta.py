"""Δp and Δ log p of the correct token: variant minus baseline, so below zero is a loss."""

from __future__ import annotations

import numpy as np

from evaluator.estimation import percentiles
from evaluator.frames import DELTA_PERMILLES
from evaluator.metrics import METRIC_FAMILIES, Columns, TokenScores

_PERCENTAGE_POINTS = 100


@METRIC_FAMILIES.register("delta")
def delta(scores: TokenScores) -> Columns:
    """Δp in percentage points (mean, RMS, percentiles) and Δ log p in nats (mean, percentiles)."""
    if scores.baseline_nll is None or not len(scores.nll):
        return {}
    delta_p = _PERCENTAGE_POINTS * (np.exp(-scores.nll) - np.exp(-scores.baseline_nll))
    delta_logp = scores.baseline_nll - scores.nll
    return {
        "delta_p_mean": float(delta_p.mean()),
        "delta_p_rms": float(np.sqrt(np.square(delta_p).mean())),
        **percentiles("delta_p", delta_p, DELTA_PERMILLES),
        "delta_logp_mean": float(delta_logp.mean()),
        **percentiles("delta_logp", delta_logp, DELTA_PERMILLES),
    }
