"""Means, errors and percentiles, against hand-computed values."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from evaluator.metrics.estimation import (
    clustered_mean,
    clustered_standard_error,
    percentiles,
    standard_error,
    student,
)


def test_standard_error_is_the_sample_deviation_over_root_n():
    values = [1.0, 2.0, 4.0, 9.0]
    assert standard_error(np.array(values)) == pytest.approx(statistics.stdev(values) / 2)


@pytest.mark.parametrize("values", [[], [3.0]])
def test_standard_error_of_fewer_than_two_is_unknown(values):
    assert standard_error(np.array(values)) is None


def brute_force(values, clusters):
    mean, total, labels = sum(values) / len(values), 0.0, sorted(set(clusters))
    for label in labels:
        total += sum(v - mean for v, c in zip(values, clusters, strict=True) if c == label) ** 2
    return math.sqrt(len(labels) / (len(labels) - 1) * total) / len(values)


@pytest.mark.parametrize("seed", range(5))
def test_clustered_error_equals_the_brute_force(seed):
    generator = np.random.default_rng(seed)
    clusters = generator.choice([3, 7, 8, 100], 40)
    values = generator.normal(size=40) + clusters
    assert clustered_standard_error(values, clusters) == pytest.approx(
        brute_force(values.tolist(), clusters.tolist())
    )


def test_clusters_of_one_give_the_plain_error():
    values = np.array([1.0, 5.0, 2.0, 8.0])
    assert clustered_standard_error(values, np.arange(4)) == pytest.approx(standard_error(values))


def test_one_cluster_has_no_error():
    assert clustered_standard_error(np.array([1.0, 2.0]), np.array([4, 4])) is None


def test_clustered_mean_is_the_ratio_estimator():
    # Sums 1 and 9 over 1 and 3 tokens: mean 2.5, residuals 1 − 2.5 and 9 − 7.5, variance 2 × 4.5 / 16.
    mean, error = clustered_mean(np.array([1.0, 9.0]), np.array([1.0, 3.0]))
    assert (mean, error) == (2.5, pytest.approx(0.75))
    assert clustered_mean(np.array([6.0]), np.array([3.0])) == (2.0, None)


@pytest.mark.parametrize("freedom", [1, 2, 5, 10, 11, 30, 500])
def test_quantile_of_t_holds_95_percent_of_its_density(freedom):
    x = np.linspace(0, student(freedom), 200_001)
    height = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(
        freedom * math.pi
    )
    density = height * (1 + x**2 / freedom) ** (-(freedom + 1) / 2)
    assert 2 * np.trapezoid(density, x) == pytest.approx(0.95, abs=1e-6)


@pytest.mark.parametrize(
    ("freedom", "comparisons", "quantile"),
    [
        # scipy.stats.t.isf(0.025 / comparisons, freedom)
        (1, 1, 12.7062047),
        (1, 1000, 12732.3954),
        (2, 10, 14.0890473),
        (4, 5, 4.60409487),
        (4, 50, 8.61030158),
        (10, 1, 2.22813885),
        (11, 1, 2.20098516),
        (23, 50, 3.7676268),
        (100, 5, 2.62589052),
        (1000, 1, 1.96233908),
        (9999, 1, 1.96020126),
        (10001, 20, 3.024108),
        (1000000.0, 50, 3.29053646),
        (math.inf, 1, 1.95996398),
        (math.inf, 5, 2.5758293),
    ],
)
def test_quantiles_of_t(freedom, comparisons, quantile):
    assert student(freedom, comparisons) == pytest.approx(quantile, rel=3e-6)


def test_a_fraction_of_a_degree_is_left_out():
    assert student(10.9) == student(10)


def test_no_degree_of_freedom_bounds_nothing():
    assert student(0) == math.inf


def test_percentiles_interpolate_linearly():
    found = percentiles("kld", np.array([0.0, 10.0, 20.0, 30.0, 40.0]), (1, 100, 500, 999))
    assert found == pytest.approx({"kld_p001": 0.04, "kld_p100": 4, "kld_p500": 20, "kld_p999": 39.96})
