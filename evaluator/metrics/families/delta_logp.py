"""Δ log p of the correct token: variant minus baseline, so a negative value is a loss."""

from __future__ import annotations

from evaluator.metrics import METRIC_FAMILIES, Columns, Family, TokenScores
from evaluator.metrics.columns import Column, percentile_columns
from evaluator.metrics.estimation import DELTA_PERMILLES, percentiles


def delta_logp(scores: TokenScores) -> Columns:
    """Return mean and percentiles of Δ log p in nats. The mean is −`ln_ppl_ratio`, with the same errors."""
    if scores.baseline_nll is None or not len(scores.nll):
        return {}
    change = scores.baseline_nll - scores.nll
    return {
        "delta_logp_mean": float(change.mean()),
        **percentiles("delta_logp", change, DELTA_PERMILLES),
    }


METRIC_FAMILIES.add(
    "delta_logp",
    Family(
        "Δ log p, nats",
        6,
        (
            Column(
                "delta_logp_mean",
                "Mean Δ log p",
                "mean of log p(variant) − log p(baseline) of the correct token: −`ln_ppl_ratio`",
                "nats",
                better="higher",
            ),
            *percentile_columns("delta_logp", "Δ log p", "nats", DELTA_PERMILLES),
        ),
        delta_logp,
    ),
)
