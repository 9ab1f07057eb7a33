"""Δp of the correct token: variant minus baseline, so below zero is a loss."""

from __future__ import annotations

import numpy as np

from evaluator.metrics import METRIC_FAMILIES, Columns, Family, TokenScores
from evaluator.metrics.columns import Column, percentile_columns
from evaluator.metrics.estimation import DELTA_PERMILLES, percentiles, standard_error

_PERCENTAGE_POINTS = 100


def delta_p(scores: TokenScores) -> Columns:
    """Δp in percentage points: mean, RMS, extremes, percentiles.

    The error of the RMS follows from that of the mean square by the delta method; it is null where the RMS is 0.
    """
    if scores.baseline_nll is None or not len(scores.nll):
        return {}
    change = _PERCENTAGE_POINTS * (np.exp(-scores.nll) - np.exp(-scores.baseline_nll))
    rms = float(np.sqrt(np.square(change).mean()))
    return {
        "delta_p_mean": float(change.mean()),
        "delta_p_se": standard_error(change),
        "delta_p_rms": rms,
        "delta_p_rms_se": standard_error(np.square(change) / (2 * rms)) if rms > 0 else None,
        "delta_p_min": float(change.min()),
        "delta_p_max": float(change.max()),
        **percentiles("delta_p", change, DELTA_PERMILLES),
    }


METRIC_FAMILIES.add(
    "delta_p",
    Family(
        "Δp, percentage points",
        5,
        (
            Column(
                "delta_p_mean",
                "Mean Δp of the right token",
                "points",
                better="higher",
                error="delta_p_se",
                tokens="delta_p",
                low=-100,
                high=100,
            ),
            Column(
                "delta_p_rms",
                "RMS Δp",
                "points",
                better="lower",
                error="delta_p_rms_se",
                low=0,
                high=100,
                main=True,
            ),
            Column("delta_p_min", "Smallest Δp", "points", low=-100, high=100),
            Column("delta_p_max", "Largest Δp", "points", low=-100, high=100),
            *percentile_columns("delta_p", "Δp", "points", DELTA_PERMILLES),
        ),
        delta_p,
    ),
)
