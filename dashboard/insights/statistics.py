"""Statistics that several views use: estimates with errors, rank correlation, curves over bits per weight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Z95 = 1.96
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error."""

    value: float
    se: float

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self.value - Z95 * self.se

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return self.value + Z95 * self.se

    @property
    def differs_from_zero(self) -> bool:
        """Whether the 95 % interval excludes zero."""
        return self.low > 0 or self.high < 0

    def minus(self, other: Estimate) -> Estimate:
        """Difference of two estimates, taken as independent: too wide an error when they share tokens."""
        return Estimate(self.value - other.value, math.hypot(self.se, other.se))


def clustered_mean(means: Array, weights: Array) -> Estimate | None:
    """Weighted mean of cluster means with the error of a ratio estimator over clusters.

    Cochran, Sampling Techniques, 3rd ed., eq. 2.46 without the finite population correction. None when
    nothing is finite; the error is infinite for a single cluster.
    """
    usable = np.isfinite(means) & (weights > 0)
    means, weights = means[usable].astype(np.float64), weights[usable].astype(np.float64)
    if means.size == 0:
        return None
    total = float(weights.sum())
    mean = float((means * weights).sum() / total)
    if means.size == 1:
        return Estimate(mean, math.inf)
    residual = weights * (means - mean)
    variance = means.size / (means.size - 1) * float((residual**2).sum())
    return Estimate(mean, math.sqrt(variance) / total)


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Spearman's ρ with mid-ranks for ties; None for fewer than three points or a constant."""
    if len(x) < 3:
        return None
    first, second = _ranks(x), _ranks(y)
    if first.std() == 0 or second.std() == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Sequence[float]) -> Array:
    array = np.asarray(values, dtype=np.float64)
    lower = (array[:, None] > array[None, :]).sum(axis=1)
    equal = (array[:, None] == array[None, :]).sum(axis=1)
    ranks: Array = lower + (equal - 1) / 2.0
    return ranks


def at(x: Sequence[float], y: Sequence[Estimate], where: float) -> Estimate | None:
    """Linear interpolation between the two neighbouring points; None outside the measured range.

    The errors of the neighbours are added with their weights as if fully correlated, which never understates.
    """
    points = sorted(zip(x, y, strict=True), key=lambda point: point[0])
    if not points or not points[0][0] <= where <= points[-1][0]:
        return None
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 <= where <= x1 and x1 > x0:
            share = (where - x0) / (x1 - x0)
            return Estimate((1 - share) * y0.value + share * y1.value, (1 - share) * y0.se + share * y1.se)
    return points[0][1]


def slope(x: Sequence[float], y: Sequence[float]) -> Estimate | None:
    """Least-squares slope with the error from the residuals; None for fewer than three points."""
    if len(x) < 3:
        return None
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    centred = xs - xs.mean()
    squares = float((centred**2).sum())
    if squares == 0:
        return None
    value = float((centred * (ys - ys.mean())).sum()) / squares
    residual = ys - ys.mean() - value * centred
    return Estimate(value, math.sqrt(float((residual**2).sum()) / (len(x) - 2) / squares))


def pareto(cost: Sequence[float], loss: Sequence[float]) -> list[int]:
    """Find the points that no other beats in one coordinate without losing in the other."""
    return [
        i
        for i, (c, q) in enumerate(zip(cost, loss, strict=True))
        if not any(
            c2 <= c and q2 <= q and (c2 < c or q2 < q)
            for j, (c2, q2) in enumerate(zip(cost, loss, strict=True))
            if j != i
        )
    ]


def gini(values: Sequence[float]) -> float | None:
    """Gini coefficient of non-negative values: 0 when all are equal, towards 1 when one holds everything."""
    array = np.sort(np.asarray([value for value in values if value >= 0], dtype=np.float64))
    if array.size < 2 or array.sum() == 0:
        return None
    index = np.arange(1, array.size + 1)
    return float((2 * index - array.size - 1) @ array / (array.size * array.sum()))
