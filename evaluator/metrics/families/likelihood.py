"""Perplexity, and its paired comparison with the baseline's."""

from __future__ import annotations

import numpy as np

from evaluator.metrics import METRIC_FAMILIES, Columns, Family, Floats, TokenScores
from evaluator.metrics.columns import Column, Score
from evaluator.metrics.estimation import clustered_standard_error, exp_or_none, standard_error


def likelihood(scores: TokenScores) -> Columns:
    """Return `ppl` = exp(mean nll), and its comparison with the baseline: ln of the ratio, ratio and difference.

    The errors of the comparison are paired: both models score the same tokens, so most of the spread of their nll
    is common and cancels in the difference. The delta method carries them over to the perplexity, as in llama.cpp.
    Values that overflow, such as exp(1000), are null.
    """
    if not len(scores.nll):
        return {}
    columns: dict[str, float | None] = {}
    ppl = exp_or_none(scores.nll.mean())
    if ppl is not None:
        columns = {
            "ppl": ppl,
            "ppl_se": standard_error(ppl * scores.nll),
            "ppl_se_clustered": clustered_standard_error(ppl * scores.nll, scores.windows),
        }
    if scores.baseline_nll is not None:
        columns |= _against(scores.baseline_nll, ppl, scores)
    return columns


def _against(baseline: Floats, ppl: float | None, scores: TokenScores) -> dict[str, float | None]:
    difference = scores.nll - baseline
    columns: dict[str, float | None] = {
        "ln_ppl_ratio": float(difference.mean()),
        "ln_ppl_ratio_se": standard_error(difference),
        "ln_ppl_ratio_se_clustered": clustered_standard_error(difference, scores.windows),
        "cor_ln_ppl": _correlation(scores.nll, baseline),
    }
    ratio, ppl_baseline = exp_or_none(difference.mean()), exp_or_none(baseline.mean())
    if ratio is not None:
        columns |= {"ppl_ratio": ratio, "ppl_ratio_se": standard_error(ratio * difference)}
    if ppl is not None and ppl_baseline is not None:
        paired = ppl * scores.nll - ppl_baseline * baseline
        columns |= {"ppl_diff": ppl - ppl_baseline, "ppl_diff_se": standard_error(paired)}
    return columns


def _correlation(left: Floats, right: Floats) -> float | None:
    if len(left) < 2 or left.std() == 0 or right.std() == 0:
        return None
    return float(np.corrcoef(left, right)[0, 1])


METRIC_FAMILIES.add(
    "likelihood",
    Family(
        "Perplexity",
        1,
        (
            Column(
                "ppl",
                "Perplexity",
                "exp of the mean negative log likelihood of the correct tokens",
                better="lower",
                error="ppl_se",
                clustered=True,
                tokens="nll",
                exponential=True,
                low=0,
                main=True,
            ),
            Column(
                "ln_ppl_ratio",
                "ln PPL ratio",
                "ln of the ratio to the baseline's perplexity: the mean difference of the negative log likelihoods",
                "nats",
                better="lower",
                error="ln_ppl_ratio_se",
                clustered=True,
                tokens="nll",
                main=True,
                score=Score(
                    "perplexity",
                    "exp",
                    "PPL of the baseline / PPL; baseline = 100 %",
                    shown="ppl",
                    unless="kld_mean",
                ),
            ),
            Column(
                "ppl_ratio",
                "PPL ratio",
                "perplexity divided by the baseline's, on the same tokens",
                better="lower",
                error="ppl_ratio_se",
                low=0,
            ),
            Column(
                "ppl_diff",
                "PPL difference",
                "perplexity minus the baseline's, on the same tokens",
                better="lower",
                error="ppl_diff_se",
            ),
            Column(
                "cor_ln_ppl",
                "Correlation with the baseline's nll",
                "correlation of the tokens' negative log likelihood with the baseline's",
                better="higher",
                low=-1.0001,
                high=1.0001,
            ),
        ),
        likelihood,
        quantities={"nll": lambda scores: scores.nll},
    ),
)
