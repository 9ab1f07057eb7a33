"""Small summaries of token frames: sums per window, and the density of Δ log p."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

#: Edges of the bins of the most probable token's probability.
CONFIDENCE_EDGES = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)
DENSITY_POINTS = 128
_CLIP = (0.005, 0.995)
_FINE_BINS = 1024
_NEAR_ZERO = 0.05

Array = NDArray[np.float64]


def window_sums(tokens: pl.LazyFrame) -> pl.DataFrame:
    """One row per window: sums of `nll`, `kld` (nats), `same_top` and of the bins of `top_prob`.

    `<name>_n` counts the tokens behind each sum; values that are null are in neither.
    """
    inner = list(CONFIDENCE_EDGES[1:-1])
    probability = pl.col("top_prob")
    lows, highs = [-1.0, *inner], [*inner, 2.0]
    totals = [pl.col(name).cast(pl.Float64).sum() for name in ("nll", "kld", "same_top")]
    counts = [pl.col(name).count().alias(f"{name}_n") for name in ("nll", "kld", "same_top")]
    bins = [
        ((probability >= low) & (probability < high)).sum().cast(pl.Float64).alias(f"bin{index}")
        for index, (low, high) in enumerate(zip(lows, highs, strict=True))
    ]
    bin_counts = [probability.count().alias(f"bin{index}_n") for index in range(len(bins))]
    return tokens.group_by("window").agg(*totals, *counts, *bins, *bin_counts).sort("window").collect()


@dataclass(frozen=True)
class DeltaSummary:
    """Distribution of Δ log p = nll(baseline) − nll(variant), in nats, over `n` tokens.

    `x` and `density` are a Gaussian-smoothed density on the middle 99 %; `beyond` is the share outside it,
    `near_zero` the share within ±0.05 nats.
    """

    x: Array
    density: Array
    beyond: float
    near_zero: float
    percentiles: dict[float, float]
    n: int

    @property
    def iqr(self) -> float:
        """Distance of the quartiles."""
        return self.percentiles[75] - self.percentiles[25]

    @property
    def width(self) -> float:
        """Distance from the 1st to the 99th percentile."""
        return self.percentiles[99] - self.percentiles[1]


def delta_summary(baseline: pl.LazyFrame, variant: pl.LazyFrame) -> DeltaSummary | None:
    """Summary of Δ log p; None when the files do not hold the same tokens or hold too few."""
    base = baseline.select("token", "nll").collect()
    ours = variant.select("token", "nll").collect()
    if not base["token"].equals(ours["token"]):
        return None
    delta = (base["nll"].cast(pl.Float64) - ours["nll"].cast(pl.Float64)).drop_nulls().to_numpy()
    delta = delta[np.isfinite(delta)]
    if delta.size < 2:
        return None
    marks = (1, 5, 25, 50, 75, 95, 99)
    percentiles = {
        float(mark): float(value) for mark, value in zip(marks, np.percentile(delta, marks), strict=True)
    }
    low, high = (float(edge) for edge in np.quantile(delta, _CLIP))
    x, density = _density(delta, low, high)
    beyond = float(np.mean((delta < low) | (delta > high)))
    return DeltaSummary(
        x, density, beyond, float(np.mean(np.abs(delta) <= _NEAR_ZERO)), percentiles, delta.size
    )


def _density(values: Array, low: float, high: float) -> tuple[Array, Array]:
    """Histogram on a fine grid, smoothed with Silverman's bandwidth, sampled at `DENSITY_POINTS` places."""
    if high - low < 1e-9:
        return np.linspace(low - 1e-3, low + 1e-3, DENSITY_POINTS), np.ones(DENSITY_POINTS)
    counts, edges = np.histogram(values, bins=_FINE_BINS, range=(low, high))
    step = (high - low) / _FINE_BINS
    quartiles = np.percentile(values, (25, 75))
    spread = min(float(values.std()), float(quartiles[1] - quartiles[0]) / 1.34) or float(values.std())
    bandwidth = min(max(0.9 * spread * values.size**-0.2, step), (high - low) / 8)
    reach = int(np.ceil(4 * bandwidth / step))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / bandwidth) ** 2)
    kernel /= kernel.sum()
    smooth = np.convolve(np.pad(counts.astype(np.float64), reach), kernel, mode="same")[
        reach : reach + _FINE_BINS
    ]
    centres = (edges[:-1] + edges[1:]) / 2
    x = np.linspace(low, high, DENSITY_POINTS)
    return x, np.interp(x, centres, smooth / (values.size * step))
