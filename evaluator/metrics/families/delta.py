"""Δp and Δ log p of the correct token: variant minus baseline, so below zero is a loss."""

from __future__ import annotations

import numpy as np

from evaluator.metrics import METRIC_FAMILIES, Columns, TokenScores
from evaluator.metrics.estimation import percentiles, standard_error
from evaluator.results.schema import DELTA_PERMILLES

_PERCENTAGE_POINTS = 100


@METRIC_FAMILIES.register("delta")
def delta(scores: TokenScores) -> Columns:
    """Δp in percentage points (mean, RMS, extremes, percentiles) and Δ log p in nats (mean, percentiles).

    The mean of Δ log p is −`ln_ppl_ratio`, so its errors are that column's. The error of the RMS follows from that
    of the mean square by the delta method; it is null where the RMS is 0.
    """
    if scores.baseline_nll is None or not len(scores.nll):
        return {}
    delta_p = _PERCENTAGE_POINTS * (np.exp(-scores.nll) - np.exp(-scores.baseline_nll))
    delta_logp = scores.baseline_nll - scores.nll
    rms = float(np.sqrt(np.square(delta_p).mean()))
    return {
        "delta_p_mean": float(delta_p.mean()),
        "delta_p_se": standard_error(delta_p),
        "delta_p_rms": rms,
        "delta_p_rms_se": standard_error(np.square(delta_p) / (2 * rms)) if rms > 0 else None,
        "delta_p_min": float(delta_p.min()),
        "delta_p_max": float(delta_p.max()),
        **percentiles("delta_p", delta_p, DELTA_PERMILLES),
        "delta_logp_mean": float(delta_logp.mean()),
        **percentiles("delta_logp", delta_logp, DELTA_PERMILLES),
    }
