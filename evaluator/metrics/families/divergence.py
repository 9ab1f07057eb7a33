"""KL(baseline ‖ variant) over the whole vocabulary, and agreement on the most probable token."""

from __future__ import annotations

import math

import numpy as np

from evaluator.metrics import METRIC_FAMILIES, Columns, TokenScores
from evaluator.metrics.estimation import clustered_standard_error, percentiles, standard_error
from evaluator.results.schema import KLD_PERMILLES


@METRIC_FAMILIES.register("divergence")
def divergence(scores: TokenScores) -> Columns:
    """KLD statistics in nats; `same_top` a share with its binomial error √(p(1−p)/(n−1)), and clustered by window."""
    if scores.kld is None or scores.same_top is None or not len(scores.kld):
        return {}
    kld, n_tokens = scores.kld, len(scores.kld)
    share = float(scores.same_top.mean())
    return {
        "kld_mean": float(kld.mean()),
        "kld_se": standard_error(kld),
        "kld_se_clustered": clustered_standard_error(kld, scores.windows),
        "kld_median": float(np.median(kld)),
        "kld_min": float(kld.min()),
        "kld_max": float(kld.max()),
        **percentiles("kld", kld, KLD_PERMILLES),
        "same_top": share,
        "same_top_se": math.sqrt(share * (1 - share) / (n_tokens - 1)) if n_tokens > 1 else None,
        "same_top_se_clustered": clustered_standard_error(scores.same_top, scores.windows),
    }
