"""Perplexity, and its paired comparison with the baseline."""

from __future__ import annotations

import math

import numpy as np

from evaluator.estimation import standard_error
from evaluator.metrics import METRIC_FAMILIES, Columns, TokenScores


@METRIC_FAMILIES.register("likelihood")
def likelihood(scores: TokenScores) -> Columns:
    """`ppl` = exp(mean nll) with `ppl_se` = ppl · se(mean nll); the ratio to the baseline as ln, paired.

    The pairing takes the covariance into account: both models read the same tokens, so most of the spread
    of their nll is common and cancels in the difference. Source: llama.cpp, tools/perplexity.
    """
    if not len(scores.nll):
        return {}
    ppl = math.exp(scores.nll.mean())
    error = standard_error(scores.nll)
    columns: dict[str, float | None] = {"ppl": ppl, "ppl_se": None if error is None else ppl * error}
    if scores.baseline_nll is not None:
        difference = scores.nll - scores.baseline_nll
        columns["ln_ppl_ratio"] = float(difference.mean())
        columns["ln_ppl_ratio_se"] = standard_error(difference)
        columns["cor_ln_ppl"] = _correlation(scores.nll, scores.baseline_nll)
    return columns


def _correlation(left: np.ndarray, right: np.ndarray) -> float | None:
    if len(left) < 2 or left.std() == 0 or right.std() == 0:
        return None
    return float(np.corrcoef(left, right)[0, 1])
