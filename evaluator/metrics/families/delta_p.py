"""Δp of the correct token: variant minus baseline, so below zero is a loss."""

from __future__ import annotations

import numpy as np

from evaluator.metrics import METRIC_FAMILIES, Columns, Family, Floats, TokenScores
from evaluator.metrics.columns import Column, percentile_columns
from evaluator.metrics.estimation import DELTA_PERMILLES, percentiles, standard_error

_PERCENTAGE_POINTS = 100


def change(scores: TokenScores) -> Floats | None:
    """Δp of each token in percentage points; None for a baseline."""
    if scores.baseline_nll is None:
        return None
    moved: Floats = _PERCENTAGE_POINTS * (np.exp(-scores.nll) - np.exp(-scores.baseline_nll))
    return moved


def delta_p(scores: TokenScores) -> Columns:
    """Δp in percentage points: mean, RMS, extremes, percentiles.

    The error of the RMS follows from that of the mean square by the delta method; it is null where the RMS is 0.
    """
    moved = change(scores)
    if moved is None or not len(moved):
        return {}
    rms = float(np.sqrt(np.square(moved).mean()))
    return {
        "delta_p_mean": float(moved.mean()),
        "delta_p_se": standard_error(moved),
        "delta_p_rms": rms,
        "delta_p_rms_se": standard_error(np.square(moved) / (2 * rms)) if rms > 0 else None,
        "delta_p_min": float(moved.min()),
        "delta_p_max": float(moved.max()),
        **percentiles("delta_p", moved, DELTA_PERMILLES),
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
                "mean change of the probability of the token that followed",
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
                "root of the mean squared change of that probability",
                "points",
                better="lower",
                error="delta_p_rms_se",
                low=0,
                high=100,
                main=True,
            ),
            Column("delta_p_min", "Smallest Δp", "the largest loss of a token", "points", low=-100, high=100),
            Column("delta_p_max", "Largest Δp", "the largest gain of a token", "points", low=-100, high=100),
            *percentile_columns("delta_p", "Δp", "points", DELTA_PERMILLES),
        ),
        delta_p,
        quantities={"delta_p": change},
    ),
)
