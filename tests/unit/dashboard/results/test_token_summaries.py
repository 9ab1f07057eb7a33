"""The summary of Δ log p against distributions with known values."""

import numpy as np
import pytest

from dashboard.results.token_summaries import LINEAR_NATS, delta_summary, to_symlog


def normal(n: int = 40_000) -> np.ndarray:
    return np.sort(np.random.default_rng(1).normal(0.0, 1.0, n))


def test_a_normal_distribution() -> None:
    found = delta_summary(normal())
    assert found is not None
    assert found.percentiles[99].value == pytest.approx(2.326, abs=0.03)
    assert found.iqr.value == pytest.approx(1.349, abs=0.02)
    assert found.near_zero.value == pytest.approx(0.0399, abs=0.003)
    assert found.kurtosis == pytest.approx(0, abs=0.1)
    assert float(np.trapezoid(found.linear.density, found.linear.x)) == pytest.approx(0.99, abs=0.01)
    assert float(np.trapezoid(found.symlog.density, found.symlog.x)) == pytest.approx(0.999, abs=0.02)


def test_the_error_of_a_percentile() -> None:
    """√(p(1−p)/n) / density at the median of a normal distribution: 0.5 / √n / 0.3989."""
    found = delta_summary(normal())
    assert found is not None
    assert found.percentiles[50].se == pytest.approx(0.5 / 200 / 0.3989, rel=0.15)


def test_values_that_are_all_alike() -> None:
    found = delta_summary(np.zeros(100))
    assert found is not None
    assert found.near_zero.value == 1
    assert found.kurtosis == 0
    assert found.width.value == 0


def test_too_few_values() -> None:
    assert delta_summary(np.zeros(1)) is None


def test_symlog_is_odd_and_logarithmic_far_out() -> None:
    assert to_symlog(np.array([0.0])) == 0
    assert to_symlog(np.array([-1.0])) == -to_symlog(np.array([1.0]))
    decade = to_symlog(np.array([100 * LINEAR_NATS])) - to_symlog(np.array([10 * LINEAR_NATS]))
    assert decade == pytest.approx(np.log(10), abs=0.01)
