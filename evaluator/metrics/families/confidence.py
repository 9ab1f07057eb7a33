"""A model's confidence: the probability of its most probable token."""

from __future__ import annotations

from evaluator.metrics import METRIC_FAMILIES, Columns, Family, TokenScores
from evaluator.metrics.columns import Column
from evaluator.metrics.estimation import standard_error


def confidence(scores: TokenScores) -> Columns:
    """Return the mean top probability (0–1) and its standard error; `breakdowns` computes the shares per bin."""
    if not len(scores.top_prob):
        return {}
    return {"top_prob_mean": float(scores.top_prob.mean()), "top_prob_se": standard_error(scores.top_prob)}


METRIC_FAMILIES.add(
    "confidence",
    Family(
        "Confidence",
        4,
        (
            Column(
                "top_prob_mean",
                "Mean top probability",
                "mean probability of the most probable token",
                "share",
                error="top_prob_se",
                low=0,
                high=1.0001,
            ),
        ),
        confidence,
    ),
)
