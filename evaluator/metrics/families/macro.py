"""Macro-averages: every domain has the same weight, whatever the length of its text."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from evaluator.metrics import METRIC_FAMILIES, Columns, Family, Floats, TokenScores
from evaluator.metrics.columns import Column
from evaluator.metrics.estimation import clustered_standard_error, exp_or_none


def macro(scores: TokenScores) -> Columns:
    """Return the mean over domains of each domain's mean, with errors clustered by window within each domain.

    `ppl_macro` is exp of the macro-average of nll. Scores without domains have no macro-averages.
    """
    if scores.domains is None or not len(scores.nll):
        return {}
    averaged = {"kld_macro": scores.kld, "same_top_macro": scores.same_top}
    if scores.baseline_nll is not None:
        averaged["ln_ppl_ratio_macro"] = scores.nll - scores.baseline_nll
    columns: dict[str, float | None] = {
        "ppl_macro": exp_or_none(_average(scores.nll, scores.windows, scores.domains)[0])
    }
    for name, values in averaged.items():
        if values is not None:
            columns[name], columns[f"{name}_se"] = _average(values, scores.windows, scores.domains)
    return columns


def _average(
    values: Floats, windows: npt.NDArray[np.int64], domains: npt.NDArray[np.str_]
) -> tuple[float, float | None]:
    """Return Σ_d x̄_d / D and √(Σ_d se_d²) / D (domains are independent); the error is None if any se_d is."""
    means: list[float] = []
    errors: list[float | None] = []
    for domain in np.unique(domains):
        inside = domains == domain
        means.append(float(values[inside].mean()))
        errors.append(clustered_standard_error(values[inside], windows[inside]))
    known = [error for error in errors if error is not None]
    complete = len(known) == len(means)
    return float(np.mean(means)), math.hypot(*known) / len(means) if complete else None


METRIC_FAMILIES.add(
    "macro",
    Family(
        "Averages over texts",
        8,
        (
            Column(
                "ppl_macro",
                "Perplexity, texts weighted equally",
                "exp of the mean over domains of each domain's mean negative log likelihood",
                better="lower",
                low=0,
            ),
            Column(
                "ln_ppl_ratio_macro",
                "ln PPL ratio, texts weighted equally",
                "mean over domains of each domain's `ln_ppl_ratio`",
                "nats",
                better="lower",
                error="ln_ppl_ratio_macro_se",
            ),
            Column(
                "kld_macro",
                "Mean KLD, texts weighted equally",
                "mean over domains of each domain's `kld_mean`",
                "nats",
                better="lower",
                error="kld_macro_se",
            ),
            Column(
                "same_top_macro",
                "Same top token, texts weighted equally",
                "mean over domains of each domain's `same_top`",
                "share",
                better="higher",
                error="same_top_macro_se",
                low=0,
                high=1,
            ),
        ),
        macro,
        over="all tokens",
    ),
)
