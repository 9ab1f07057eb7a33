"""Perplexity, and its paired comparison with the baseline."""

from __future__ import annotations

import math

import numpy as np

from evaluator.estimation import clustered_standard_error, standard_error
from evaluator.metrics import METRIC_FAMILIES, Columns, Floats, TokenScores


@METRIC_FAMILIES.register("likelihood")
def likelihood(scores: TokenScores) -> Columns:
    """`ppl` = exp(mean nll), and its comparison with the baseline: as ln of the ratio, ratio and difference.

    The errors of a comparison are paired: both models read the same tokens, so most of the spread of their nll
    is common and cancels in the difference. All carry to the perplexity by the delta method, as llama.cpp's do.
    """
    if not len(scores.nll):
        return {}
    ppl = math.exp(scores.nll.mean())
    columns: dict[str, float | None] = {
        "ppl": ppl,
        "ppl_se": standard_error(ppl * scores.nll),
        "ppl_se_clustered": clustered_standard_error(ppl * scores.nll, scores.windows),
    }
    if scores.baseline_nll is not None:
        columns |= _against(scores.baseline_nll, ppl, scores)
    return columns


def _against(baseline: Floats, ppl: float, scores: TokenScores) -> dict[str, float | None]:
    difference = scores.nll - baseline
    ratio, ppl_baseline = math.exp(difference.mean()), math.exp(baseline.mean())
    return {
        "ln_ppl_ratio": float(difference.mean()),
        "ln_ppl_ratio_se": standard_error(difference),
        "ln_ppl_ratio_se_clustered": clustered_standard_error(difference, scores.windows),
        "ppl_ratio": ratio,
        "ppl_ratio_se": standard_error(ratio * difference),
        "ppl_diff": ppl - ppl_baseline,
        "ppl_diff_se": standard_error(ppl * scores.nll - ppl_baseline * baseline),
        "cor_ln_ppl": _correlation(scores.nll, baseline),
    }


def _correlation(left: Floats, right: Floats) -> float | None:
    if len(left) < 2 or left.std() == 0 or right.std() == 0:
        return None
    return float(np.corrcoef(left, right)[0, 1])
