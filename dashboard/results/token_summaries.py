"""Summarize the distribution of Δ log p as densities and percentiles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dashboard.results.statistics import Estimate

DENSITY_POINTS = 256
#: The symlog scale is linear below this many nats and logarithmic above.
LINEAR_NATS = 0.02
_CLIP = (0.005, 0.995)
_WIDE_CLIP = (0.0005, 0.9995)
_FINE_BINS = 1024
_NEAR_ZERO = 0.05
_MARKS = (1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """A smoothed density at `DENSITY_POINTS` values of x."""

    x: Array
    density: Array


@dataclass(frozen=True)
class DeltaSummary:
    """Distribution of Δ log p = nll(baseline) − nll(variant), in nats, over `n` tokens.

    `linear` is the density on the middle 99 %, `symlog` that of `to_symlog(Δ)` on the middle 99.9 %;
    `beyond` is the share outside `linear`, `near_zero` the share within ±0.05 nats, `kurtosis` the excess
    over a normal distribution's. Errors count tokens as independent.
    """

    linear: Curve
    symlog: Curve
    beyond: float
    near_zero: Estimate
    percentiles: dict[float, Estimate]
    kurtosis: float
    n: int

    @property
    def iqr(self) -> Estimate:
        """Interquartile range; its error treats the quartiles as independent and is too wide."""
        return self.percentiles[75].minus(self.percentiles[25])

    @property
    def width(self) -> Estimate:
        """Range from the 1st to the 99th percentile."""
        return self.percentiles[99].minus(self.percentiles[1])

    def frame(self) -> pl.DataFrame:
        """Return percentiles (position in %, value in nats) and the density (position in nats, value per nat)."""
        marks = [("percentile", at, mark.value) for at, mark in sorted(self.percentiles.items())]
        drawn = zip(self.linear.x.tolist(), self.linear.density.tolist(), strict=True)
        rows = [*marks, *(("density", at, height) for at, height in drawn)]
        return pl.DataFrame(rows, schema=["quantity", "position", "value"], orient="row")


def to_symlog(nats: Array) -> Array:
    """Compress both tails: linear within ±`LINEAR_NATS`, logarithmic far outside, smooth in between (arcsinh).

    A density f(x) per nat is f(x) · √(x² + `LINEAR_NATS`²) per unit of the result.
    """
    scaled: Array = np.arcsinh(np.asarray(nats, dtype=np.float64) / LINEAR_NATS)
    return scaled


def delta_summary(values: Array) -> DeltaSummary | None:
    """Summarize Δ log p in nats, finite and sorted ascending; None for fewer than two values."""
    if values.size < 2:
        return None
    low, high = (float(edge) for edge in np.quantile(values, _CLIP))
    inside = np.searchsorted(values, high, "right") - np.searchsorted(values, low, "left")
    near = np.searchsorted(values, _NEAR_ZERO, "right") - np.searchsorted(values, -_NEAR_ZERO, "left")
    wide, compressed = to_symlog(np.quantile(values, _WIDE_CLIP)), to_symlog(values)
    return DeltaSummary(
        _density(values, low, high, _spread(values)),
        # A symmetric log scale puts a hump on each side of zero, so the distance from zero tells how wide one is.
        _density(compressed, float(wide[0]), float(wide[1]), _spread(np.abs(compressed))),
        float(1 - inside / values.size),
        _share(int(near), values.size),
        {mark: _percentile(values, mark / 100) for mark in _MARKS},
        _excess_kurtosis(values),
        values.size,
    )


def _share(count: int, n: int) -> Estimate:
    """Return a share with its binomial error."""
    share = count / n
    return Estimate(share, math.sqrt(share * (1 - share) / max(1, n - 1)))


def _percentile(values: Array, share: float) -> Estimate:
    """Return a percentile of sorted values, with its error from the order statistics one error away (Woodruff)."""
    reach = math.sqrt(share * (1 - share) / values.size)
    low, middle, high = np.quantile(values, [max(0.0, share - reach), share, min(1.0, share + reach)])
    return Estimate(float(middle), float(high - low) / 2)


def _excess_kurtosis(values: Array) -> float:
    """Return the excess kurtosis: 0 for a normal distribution and for equal values."""
    centred = values - values.mean()
    variance = float((centred**2).mean())
    return float((centred**4).mean()) / variance**2 - 3 if variance > 0 else 0.0


def _spread(values: Array) -> float:
    """Return a robust standard deviation: from the quartiles if that is smaller and not 0."""
    low, high = np.quantile(values, (0.25, 0.75))
    return min(float(values.std()), float(high - low) / 1.34) or float(values.std())


def _density(values: Array, low: float, high: float, spread: float) -> Curve:
    """Return a fine histogram smoothed with Silverman's bandwidth, at `DENSITY_POINTS` values from `low` to `high`.

    Values beyond the ends count in the smoothing, so that the density does not fall there.
    """
    if high - low < 1e-9:
        return Curve(np.linspace(low - 1e-3, low + 1e-3, DENSITY_POINTS), np.ones(DENSITY_POINTS))
    step = (high - low) / _FINE_BINS
    finest, coarsest = (high - low) / DENSITY_POINTS, (high - low) / 8
    bandwidth = min(max(0.9 * spread * values.size**-0.2, finest), coarsest)
    reach = int(np.ceil(4 * bandwidth / step))
    wider = (low - reach * step, high + reach * step)
    counts, edges = np.histogram(values, bins=_FINE_BINS + 2 * reach, range=wider)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / bandwidth) ** 2)
    smooth = np.convolve(counts.astype(np.float64), kernel / kernel.sum(), mode="valid")
    centres = ((edges[:-1] + edges[1:]) / 2)[reach : reach + _FINE_BINS]
    x = np.linspace(low, high, DENSITY_POINTS)
    return Curve(x, np.interp(x, centres, smooth / (values.size * step)))
