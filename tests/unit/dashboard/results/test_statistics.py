"""Statistics against values worked out by hand."""

import math

import numpy as np
import pytest

from dashboard.results.statistics import (
    Estimate,
    clustered_mean,
    gini,
    knee,
    pareto,
    rank_correlation,
    slope,
)


def test_estimate() -> None:
    estimate = Estimate(1.0, 0.5)
    assert estimate.half == pytest.approx(0.9799820)
    assert (estimate.low, estimate.high) == (pytest.approx(0.0200180), pytest.approx(1.9799820))
    assert estimate.differs_from_zero
    assert not Estimate(-0.9, 0.5).differs_from_zero
    assert Estimate(3, 3).minus(Estimate(1, 4)) == Estimate(2, 5)
    assert Estimate(-2, 1, 4).times(-3) == Estimate(6, 3, 4)
    assert not Estimate(1.0, math.inf).has_error


def test_few_windows_widen_the_interval() -> None:
    # Tables of Student's t: 12.706 for two windows, 2.776 for five.
    assert Estimate(1.0, 0.1, 1).half == pytest.approx(1.2706, abs=1e-4)
    assert Estimate(1.0, 0.1, 4).high == pytest.approx(1.2776, abs=1e-4)
    assert Estimate(1.0, 0.4, 4).differs_from_zero is False
    assert Estimate(1.0, 0.4).differs_from_zero is True
    assert not Estimate(1.0, 0.0, 0).has_error


def test_the_freedom_of_a_difference() -> None:
    # Welch–Satterthwaite: (1 + 1)² / (1/4 + 1/4) = 8; with a known error beside it (1 + 1)² / (1/4) = 16.
    assert Estimate(1, 1, 4).minus(Estimate(0, 1, 4)).freedom == pytest.approx(8)
    assert Estimate(1, 1, 4).minus(Estimate(0, 1)).freedom == pytest.approx(16)
    assert Estimate(1, 1, 4).minus(Estimate(0, 0, 9)).freedom == pytest.approx(4)
    assert Estimate(1, 0, 4).minus(Estimate(0, 0, 9)).freedom == 4
    assert Estimate(1, 1e-200, 4).minus(Estimate(0, 1e-200, 4)).freedom == 4
    assert not Estimate(1, math.inf, 0).minus(Estimate(0, 1, 4)).has_error


@pytest.mark.parametrize("windows", [2, 3, 5, 10])
def test_intervals_of_few_windows_hold_the_truth_in_95_per_cent(windows: int) -> None:
    draws = np.random.default_rng(windows).normal(size=(4000, windows))
    found = [clustered_mean(values, np.ones(windows)) for values in draws]
    held = np.mean([item is not None and item.low <= 0 <= item.high for item in found])
    assert held == pytest.approx(0.95, abs=0.011)  # three standard errors of 4000 trials


def test_clustered_mean() -> None:
    # Means 1 and 3 with weights 1 and 3: mean 2.5; residuals −1.5 and 1.5; variance 2 × 4.5 / 16.
    found = clustered_mean(np.array([1.0, 3.0]), np.array([1.0, 3.0]))
    assert found is not None
    assert found.value == 2.5
    assert found.se == pytest.approx(0.75)
    assert found.freedom == 1


def test_clustered_mean_at_the_edges() -> None:
    assert clustered_mean(np.array([]), np.array([])) is None
    single = clustered_mean(np.array([1.0, math.nan]), np.array([2.0, 2.0]))
    assert single == Estimate(1.0, math.inf, 0)


def test_rank_correlation() -> None:
    assert rank_correlation([1, 2, 3], [9, 4, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(0.8)
    assert rank_correlation([1, 2], [1, 2]) is None
    assert rank_correlation([1, 2, 3], [5, 5, 5]) is None


def test_slope() -> None:
    exact = slope([1, 2, 3], [2, 4, 6])
    assert exact == Estimate(2.0, pytest.approx(0.0), 1)
    noisy = slope([0, 1, 2], [0, 2, 1])
    assert noisy is not None
    # Slope 1/2; residuals −½, 1, −½ give a variance of 1.5 over one degree of freedom and Sxx 2.
    assert noisy.value == pytest.approx(0.5)
    # One degree of freedom: the interval spans t = 12.7062 standard errors.
    assert noisy.se == pytest.approx(math.sqrt(1.5 / 2))
    assert noisy.half == pytest.approx(math.sqrt(1.5 / 2) * 12.7062)
    assert slope([1, 2], [1, 2]) is None


def test_pareto() -> None:
    assert pareto([1, 2, 3, 2], [3, 2, 1, 4]) == [0, 1, 2]
    assert pareto([1, 1], [2, 2]) == [0, 1]


def test_gini() -> None:
    assert gini([1, 1, 1, 1]) == pytest.approx(0)
    assert gini([0, 0, 0, 1]) == pytest.approx(0.75)
    assert gini([1]) is None


def test_knee_of_two_lines() -> None:
    x = [2, 3, 4, 5, 6, 7, 8]
    found = knee(x, [max(0.0, 4.5 - bits) + 0.01 * (-1) ** bits for bits in x])
    assert found is not None
    assert found.at == pytest.approx(4.5, abs=0.1)
    assert found.low < 4.5 < found.high
    assert found.high - found.low < 0.5


def test_a_straight_line_has_no_knee() -> None:
    x = [2, 3, 4, 5, 6, 7, 8]
    assert knee(x, [10 - bits + 0.1 * (-1) ** bits for bits in x]) is None
    assert knee(x[:5], [5, 3, 1, 1, 1]) is None
