"""KL(baseline ‖ variant) over the whole vocabulary."""

from __future__ import annotations

import numpy as np

from evaluator.metrics import METRIC_FAMILIES, Columns, Family, TokenScores
from evaluator.metrics.columns import Column, Score, percentile_columns
from evaluator.metrics.estimation import clustered_standard_error, percentiles, standard_error

#: Permille of the percentile columns, as llama.cpp prints them.
KLD_PERMILLES = (1, 10, 50, 100, 900, 950, 990, 999)


def divergence(scores: TokenScores) -> Columns:
    """Return mean, errors, extremes and percentiles of the KLD, in nats."""
    if scores.kld is None or not len(scores.kld):
        return {}
    kld = scores.kld
    return {
        "kld_mean": float(kld.mean()),
        "kld_se": standard_error(kld),
        "kld_se_clustered": clustered_standard_error(kld, scores.windows),
        "kld_median": float(np.median(kld)),
        "kld_min": float(kld.min()),
        "kld_max": float(kld.max()),
        **percentiles("kld", kld, KLD_PERMILLES),
    }


METRIC_FAMILIES.add(
    "divergence",
    Family(
        "Divergence",
        2,
        (
            Column(
                "kld_mean",
                "Mean KLD",
                "mean KL divergence from the baseline over the whole vocabulary",
                "nats",
                better="lower",
                error="kld_se",
                clustered=True,
                tokens="kld",
                main=True,
                score=Score("mean KLD", "exp", "exp(−mean KLD); baseline = 100 %"),
            ),
            Column("kld_median", "Median KLD", "median over tokens", "nats", better="lower"),
            Column("kld_min", "Smallest KLD", "smallest KLD of a token", "nats"),
            Column("kld_max", "Largest KLD", "largest KLD of a token", "nats", better="lower"),
            *percentile_columns(
                "kld",
                "KLD",
                "nats",
                KLD_PERMILLES,
                main=(990,),
                scores={990: Score("KLD p99", "exp", "exp(−KLD p99); baseline = 100 %")},
            ),
        ),
        divergence,
        quantities={"kld": lambda scores: scores.kld},
    ),
)
