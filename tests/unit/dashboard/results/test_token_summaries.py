"""The summary of Δ log p against distributions with known values."""

from statistics import NormalDist

import numpy as np
import pytest

from dashboard.results.token_summaries import LINEAR_NATS, Curve, delta_summary, to_symlog


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


#: Evenly spread shares of tokens, so that quantiles of a distribution are a sample of it without noise.
SHARES = (np.arange(100_000) + 0.5) / 100_000


def on_the_symmetric_log_scale(curve: Curve, spread: float) -> np.ndarray:
    """A normal distribution's density there, by hand: x = 0.02 sinh u, and dx/du = 0.02 cosh u."""
    x, slope = 0.02 * np.sinh(curve.x), 0.02 * np.cosh(curve.x)
    return np.exp(-((x / spread) ** 2) / 2) / (spread * np.sqrt(2 * np.pi)) * slope


@pytest.mark.parametrize("spread", [0.01, 0.05, 0.3, 2.0])
def test_no_spike_and_no_gap_at_the_threshold_of_the_log_scale(spread: float) -> None:
    found = delta_summary(np.array([NormalDist(0, spread).inv_cdf(share) for share in SHARES]))
    assert found is not None
    curve, wanted = found.symlog, on_the_symmetric_log_scale(found.symlog, spread)
    assert curve.density == pytest.approx(wanted, abs=0.03 * wanted.max())
    threshold = np.abs(np.abs(curve.x) - np.arcsinh(1.0)) < 0.3
    assert threshold.sum() >= 4
    assert curve.density[threshold] == pytest.approx(wanted[threshold], rel=0.04)


def test_a_uniform_distribution_has_its_closed_form_up_to_the_ends_of_both_scales() -> None:
    """1/2 per nat from −1 to 1; 0.01 cosh u on the symmetric log scale. Smoothing reaches a little inwards there."""
    found = delta_summary(2 * SHARES - 1)
    assert found is not None
    inner = np.abs(found.linear.x) < 0.75
    assert found.linear.density[inner] == pytest.approx(0.5, rel=0.02)
    compressed = found.symlog
    inner = np.abs(compressed.x) < np.arcsinh(0.5 / 0.02)
    assert compressed.density[inner] == pytest.approx(0.01 * np.cosh(compressed.x[inner]), rel=0.04)


def test_a_density_does_not_fall_where_the_drawing_ends() -> None:
    """The middle 99 % of a Laplace distribution: a tenth of a nat further out there is as much, not nothing."""
    tail = -np.log(2 * np.minimum(SHARES, 1 - SHARES))
    found = delta_summary(np.where(SHARES < 0.5, -tail, tail))
    assert found is not None
    end = found.linear.x[-1]
    assert end == pytest.approx(np.log(0.5 / 0.005), abs=1e-3)
    assert found.linear.density[-1] == pytest.approx(np.exp(-end) / 2, rel=0.05)
