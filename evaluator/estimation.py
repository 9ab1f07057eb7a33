"""Means, errors and percentiles, the way llama.cpp's perplexity tool computes them, and clustered errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from evaluator.frames import percentile_column

Floats = npt.NDArray[np.float64]


def standard_error(values: Floats) -> float | None:
    """σ/√(n−1) with the population σ: the standard error of the mean of independent values; null for n < 2."""
    return float(values.std() / np.sqrt(len(values) - 1)) if len(values) > 1 else None


def clustered_standard_error(values: Floats, clusters: npt.NDArray[np.int64]) -> float | None:
    """Standard error of the mean when values within a cluster are not independent; null for fewer than 2.

    The cluster-robust sandwich for a mean, √(G/(G−1) · Σ_g (Σ_{i∈g} (x_i − x̄))²) / n
    (Cameron & Miller 2015, "A Practitioner's Guide to Cluster-Robust Inference", with G/(G−1)).
    """
    labels, inverse = np.unique(clusters, return_inverse=True)
    n_clusters = len(labels)
    if n_clusters < 2:
        return None
    sums = np.bincount(inverse, weights=values - values.mean(), minlength=n_clusters)
    return float(np.sqrt(n_clusters / (n_clusters - 1) * np.square(sums).sum()) / len(values))


def percentiles(prefix: str, values: Floats, permilles: Sequence[int]) -> dict[str, float]:
    """Percentile columns with linear interpolation between order statistics, as llama.cpp does."""
    quantiles = np.quantile(values, np.asarray(permilles) / 1000)
    return {percentile_column(prefix, p): float(q) for p, q in zip(permilles, quantiles, strict=True)}
