"""How often variant and baseline have the same most probable token."""

from __future__ import annotations

import math

from evaluator.metrics import METRIC_FAMILIES, Columns, Family, TokenScores
from evaluator.metrics.columns import Column, Score
from evaluator.metrics.estimation import clustered_standard_error


def agreement(scores: TokenScores) -> Columns:
    """Return `same_top` as a share, its binomial error √(p(1−p)/(n−1)) and its error clustered by window."""
    if scores.same_top is None or not len(scores.same_top):
        return {}
    share, n_tokens = float(scores.same_top.mean()), len(scores.same_top)
    return {
        "same_top": share,
        "same_top_se": math.sqrt(share * (1 - share) / (n_tokens - 1)) if n_tokens > 1 else None,
        "same_top_se_clustered": clustered_standard_error(scores.same_top, scores.windows),
    }


METRIC_FAMILIES.add(
    "agreement",
    Family(
        "Agreement",
        3,
        (
            Column(
                "same_top",
                "Same top token",
                "share of tokens where variant and baseline have the same most probable token",
                "share",
                better="higher",
                error="same_top_se",
                clustered=True,
                tokens="same_top",
                low=0,
                high=1,
                main=True,
                score=Score("same top token", "share", "baseline = 100 %"),
            ),
        ),
        agreement,
        quantities={"same_top": lambda scores: scores.same_top},
    ),
)
