"""Compute estimates with errors, rank correlations, slopes, knees and Pareto fronts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluator.metrics import estimation
from evaluator.metrics.estimation import student

_KNEE_GRID = 400
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error and that error's degrees of freedom.

    `freedom` is the number of windows − 1 for an error clustered by window, and infinite for one over many
    independent tokens.
    """

    value: float
    se: float
    freedom: float = math.inf

    @property
    def half(self) -> float:
        """Half the width of the 95 % interval, by Student's t; infinite if the error was not measured."""
        return self.reach()

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self.value - self.half

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return self.value + self.half

    @property
    def differs_from_zero(self) -> bool:
        """Whether the 95 % interval excludes zero."""
        return self.low > 0 or self.high < 0

    @property
    def identical(self) -> bool:
        """Whether a difference is exactly 0 in every window, as between equal weights."""
        return self.value == 0 == self.se

    @property
    def has_error(self) -> bool:
        """Whether the error was measured."""
        return math.isfinite(self.half)

    def reach(self, comparisons: int = 1) -> float:
        """Return half the width of the 95 % interval that holds for all `comparisons` at once (Bonferroni)."""
        return self.se * student(self.freedom, comparisons) if math.isfinite(self.se) else math.inf

    def times(self, factor: float) -> Estimate:
        """Return the estimate multiplied by a factor, as for another unit."""
        return Estimate(factor * self.value, abs(factor) * self.se, self.freedom)

    def minus(self, other: Estimate) -> Estimate:
        """Return the difference of two estimates as if independent; the error is too wide if they share tokens.

        The degrees of freedom (Welch 1947, Satterthwaite 1946) lie between the smaller one and the sum.
        """
        return Estimate(self.value - other.value, math.hypot(self.se, other.se), _welch(self, other))


def _welch(one: Estimate, other: Estimate) -> float:
    total = one.se**2 + other.se**2
    if not (math.isfinite(total) and total > 0):
        return min(one.freedom, other.freedom)
    # Written in shares of the variance, which cannot underflow.
    spread = sum((part.se**2 / total) ** 2 / part.freedom for part in (one, other) if part.freedom > 0)
    return 1 / spread if spread > 0 else math.inf


def clustered_mean(means: Array, weights: Array) -> Estimate | None:
    """Return the weighted mean of cluster means with the error of a ratio estimator over clusters.

    None if nothing is finite; the error is infinite for a single cluster, else its freedom is clusters − 1.
    """
    usable = np.isfinite(means) & (weights > 0)
    means, weights = means[usable].astype(np.float64), weights[usable].astype(np.float64)
    if means.size == 0:
        return None
    mean, error = estimation.clustered_mean(means * weights, weights)
    return Estimate(mean, math.inf if error is None else error, means.size - 1)


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return Spearman's ρ with mid-ranks for ties; None for fewer than three points or a constant."""
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


def slope(x: Sequence[float], y: Sequence[float]) -> Estimate | None:
    """Return the least-squares slope, its error from residuals with n − 2 freedom; None under three points."""
    if len(x) < 3:
        return None
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    centred = xs - xs.mean()
    squares = float((centred**2).sum())
    if squares == 0:
        return None
    value = float((centred * (ys - ys.mean())).sum()) / squares
    residual = ys - ys.mean() - value * centred
    error = math.sqrt(float((residual**2).sum()) / (len(x) - 2) / squares)
    return Estimate(value, error, len(x) - 2)


@dataclass(frozen=True)
class Knee:
    """The place where a curve bends, with its 95 % interval."""

    at: float
    low: float
    high: float


def knee(x: Sequence[float], y: Sequence[float]) -> Knee | None:
    """Fit two joined straight lines and return where they meet.

    The interval holds every joint whose residual sum of squares does not differ from the best one's (F test,
    95 %). None for fewer than six points, or if one straight line fits about as well.
    """
    order = np.argsort(np.asarray(x, dtype=np.float64), kind="stable")
    xs, ys = np.asarray(x, dtype=np.float64)[order], np.asarray(y, dtype=np.float64)[order]
    freedom = xs.size - 4
    if freedom < 2 or np.unique(xs).size < 6:
        return None
    places = np.linspace(xs[1], xs[-2], _KNEE_GRID)
    straight, misfit = _misfits(xs, ys, np.maximum(0.0, xs[:, None] - places))
    best = int(misfit.argmin())
    bound = misfit[best] * (1 + student(freedom) ** 2 / freedom)
    # The 95 % quantile of F with 2 and n degrees of freedom is n/2 · (0.05^(−2/n) − 1).
    if straight <= misfit[best] * 0.05 ** (-2 / freedom):
        return None
    inside = places[misfit <= bound]
    return Knee(float(places[best]), float(inside[0]), float(inside[-1]))


def _misfits(x: Array, y: Array, more: Array) -> tuple[float, Array]:
    """Return residual sums of squares of least squares over 1 and `x`, and with each column of `more` added."""
    basis, _ = np.linalg.qr(np.column_stack([np.ones_like(x), x]))
    left, rest = y - basis @ (basis.T @ y), more - basis @ (basis.T @ more)
    squares = np.maximum((rest**2).sum(axis=0), np.finfo(np.float64).tiny)
    alone = float((left**2).sum())
    return alone, np.maximum(alone - (left @ rest) ** 2 / squares, 0.0)


def pareto(cost: Sequence[float], loss: Sequence[float]) -> list[int]:
    """Return the indices of points that no other point beats in one coordinate without losing in the other."""
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
    """Return the Gini coefficient of non-negative values: 0 if all are equal, near 1 if one holds everything."""
    array = np.sort(np.asarray([value for value in values if value >= 0], dtype=np.float64))
    if array.size < 2 or array.sum() == 0:
        return None
    index = np.arange(1, array.size + 1)
    return float((2 * index - array.size - 1) @ array / (array.size * array.sum()))
