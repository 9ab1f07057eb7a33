"""Δp of the correct token: variant minus baseline, so a negative value is a loss."""

from __future__ import annotations

import numpy as np

from evaluator.metrics import METRIC_FAMILIES, Columns, Family, Floats, TokenScores
from evaluator.metrics.columns import Column, percentile_columns
from evaluator.metrics.estimation import DELTA_PERMILLES, percentiles, standard_error

_PERCENTAGE_POINTS = 100


def change(scores: TokenScores) -> Floats | None:
    """Return Δp of each token in percentage points; None for a baseline."""
    if scores.baseline_nll is None:
        return None
    changes: Floats = _PERCENTAGE_POINTS * (np.exp(-scores.nll) - np.exp(-scores.baseline_nll))
    return changes


def delta_p(scores: TokenScores) -> Columns:
    """Return mean, RMS, extremes and percentiles of Δp in percentage points.

    The error of the RMS follows from that of the mean square by the delta method; it is null if the RMS is 0.
    """
    changes = change(scores)
    if changes is None or not len(changes):
        return {}
    rms = float(np.sqrt(np.square(changes).mean()))
    return {
        "delta_p_mean": float(changes.mean()),
        "delta_p_se": standard_error(changes),
        "delta_p_rms": rms,
        "delta_p_rms_se": standard_error(np.square(changes) / (2 * rms)) if rms > 0 else None,
        "delta_p_min": float(changes.min()),
        "delta_p_max": float(changes.max()),
        **percentiles("delta_p", changes, DELTA_PERMILLES),
    }


METRIC_FAMILIES.add(
    "delta_p",
    Family(
        "Δp, percentage points",
        5,
        (
            Column(
                "delta_p_mean",
                "Mean Δp of the correct token",
                "mean change of the correct token's probability",
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
                "root mean square of the change of that probability",
                "points",
                better="lower",
                error="delta_p_rms_se",
                low=0,
                high=100,
                main=True,
            ),
            Column("delta_p_min", "Smallest Δp", "largest loss of a token", "points", low=-100, high=100),
            Column("delta_p_max", "Largest Δp", "largest gain of a token", "points", low=-100, high=100),
            *percentile_columns("delta_p", "Δp", "points", DELTA_PERMILLES),
        ),
        delta_p,
        quantities={"delta_p": change},
    ),
)
