"""Means, errors and percentiles as llama.cpp's perplexity tool computes them, and clustered errors.

The module imports only numpy and the columns, because the dashboard uses it too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from evaluator.metrics.columns import percentile_column

#: Two-sided 95 % quantile of the normal distribution.
Z95 = NormalDist().inv_cdf(0.975)
#: Steps of the integral for Student's t, and the degrees of freedom above which a normal approximation is used.
_ANGLES, _NEARLY_NORMAL = 32_768, 1_000

#: From here on neighbouring float32 numbers are 2 apart, so differences of such logits and errors of such weights
#: are only rounding.
LARGEST_TOLD_APART = 2.0**24
#: Permille of the percentile columns of Δp and Δ log p.
DELTA_PERMILLES = (1, 10, 50, 100, 250, 500, 750, 900, 950, 990, 999)

Floats = npt.NDArray[np.float64]


def exp_or_none(value: float) -> float | None:
    """Return exp(value), or None if it overflows."""
    try:
        return math.exp(value)
    except OverflowError:
        return None


def standard_error(values: Floats) -> float | None:
    """Return σ/√(n−1) with the population σ, the error of the mean of independent values; None for n < 2."""
    return float(values.std() / np.sqrt(len(values) - 1)) if len(values) > 1 else None


def clustered_mean(sums: Floats, counts: Floats) -> tuple[float, float | None]:
    """Return the mean per token and its standard error if the tokens of a cluster are not independent.

    The mean is the ratio of sums over clusters, Σ s_g / Σ n_g, and its error the cluster-robust sandwich,
    √(G/(G−1) · Σ_g (s_g − n_g x̄)²) / Σ n_g (Cameron & Miller 2015, "A Practitioner's Guide to Cluster-Robust
    Inference", with G/(G−1); the same as Cochran, Sampling Techniques, eq. 2.46, for a large population).

    Args:
        sums: sum of the values of each cluster, [G]; G ≥ 1.
        counts: number of tokens in each cluster, [G], above 0.

    Returns:
        The mean, and its error: None for fewer than two clusters.
    """
    n_clusters, total = len(sums), float(counts.sum())
    mean = float(sums.sum()) / total
    if n_clusters < 2:
        return mean, None
    residuals = sums - counts * mean
    return mean, float(np.sqrt(n_clusters / (n_clusters - 1) * np.square(residuals).sum())) / total


def clustered_standard_error(values: Floats, clusters: npt.NDArray[np.int64]) -> float | None:
    """Return `clustered_mean`'s error for `values`, [n], whose cluster labels are `clusters`, [n]."""
    if not len(values):
        return None
    _, inverse, counts = np.unique(clusters, return_inverse=True, return_counts=True)
    sums = np.bincount(inverse, weights=values - values.mean())  # centred to avoid cancellation
    return clustered_mean(sums.astype(np.float64), counts.astype(np.float64))[1]


@lru_cache(maxsize=4096)
def student(freedom: float, comparisons: int = 1) -> float:
    """Return the two-sided quantile of Student's t at 1 − 0.05/`comparisons` (Bonferroni).

    With one comparison and infinite degrees of freedom it is `Z95`; with less than one degree it is infinite.
    Fractions of a degree are dropped. The relative error is at most 3e-6 for up to 1,000 comparisons.
    """
    if freedom < 1:
        return math.inf
    if freedom > _NEARLY_NORMAL:  # Abramowitz & Stegun 26.7.5
        z = NormalDist().inv_cdf(1 - 0.025 / comparisons)
        return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    # With t = √n·tan θ the density over θ is proportional to cos^(n−1) θ, from 0 to π/2.
    n = math.floor(freedom)
    angles = np.linspace(np.pi / 2, 0, _ANGLES)
    density = np.cos(angles) ** (n - 1)
    beyond = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    angle = float(np.interp(0.05 / comparisons, beyond / beyond[-1], angles))
    return math.sqrt(n) * math.tan(angle)


def percentiles(prefix: str, values: Floats, permilles: Sequence[int]) -> dict[str, float]:
    """Return the percentile columns, interpolated linearly between order statistics as llama.cpp does."""
    quantiles = np.quantile(values, np.asarray(permilles) / 1000)
    return {percentile_column(prefix, p): float(q) for p, q in zip(permilles, quantiles, strict=True)}
