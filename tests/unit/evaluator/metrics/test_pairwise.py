"""Pairs of variants, against a simple bootstrap, and the coverage of the intervals."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from evaluator.metrics.pairwise import all_pairs, between, compare
from evaluator.results.schema import Pairs, frame_of

PER_WINDOW = 20


def frame(nll, windows=None, domains=None, kld=None):
    """Return a token frame of `nll`, with PER_WINDOW tokens per window unless `windows` is given."""
    n = len(nll)
    windows = np.arange(n) // PER_WINDOW if windows is None else windows
    domains = np.full(n, "d") if domains is None else domains
    return pl.DataFrame(
        {
            "window": np.asarray(windows, np.uint32),
            "position": np.arange(n).astype(np.uint16),
            "token": np.arange(n, dtype=np.int32) % 7,
            "domain": pl.Series(domains.tolist(), dtype=pl.Categorical),
            "nll": pl.Series(nll, dtype=pl.Float32, nan_to_null=True),
            "kld": pl.Series(nll if kld is None else kld, dtype=pl.Float32, nan_to_null=True),
        }
    )


def slow_bootstrap(difference, windows, domains, seed, resamples):
    """Return the mean of `difference` over windows drawn one by one, n − 1 of n per domain, weighted n/(n − 1)."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        total = count = 0.0
        for domain in sorted(set(domains)):
            labels = sorted(set(windows[domains == domain]))
            for label in generator.choice(labels, len(labels) - 1):
                inside = windows == label
                weight = len(labels) / (len(labels) - 1)
                total += weight * difference[inside].sum()
                count += weight * inside.sum()
        found.append(total / count)
    return np.array(found)


def test_interval_is_that_of_a_bootstrap_written_out_slowly():
    generator = np.random.default_rng(1)
    sizes = generator.integers(5, 40, 14)
    windows = np.repeat(np.arange(14), sizes)
    domains = np.where(windows < 5, "a", "b")
    nll = generator.gamma(2, 1, len(windows))
    other = nll + 0.15 * generator.normal(size=14)[windows] + 0.1 * generator.normal(size=len(windows))
    a, b = frame(nll, windows, domains), frame(other, windows, domains)
    found = compare(a, b, "ln_ppl")
    difference = (a["nll"].cast(float) - b["nll"].cast(float)).to_numpy()
    slow = slow_bootstrap(difference, windows, domains, 2, 4000)
    assert found.difference == pytest.approx(difference.mean())
    assert (found.n_windows, found.n_tokens) == (14, len(windows))
    width = slow.std()
    low, high = np.quantile(slow, (0.025, 0.975))
    widening = 2.17881 / 1.95996  # Student's t with 12 degrees of freedom: 14 windows in 2 domains
    mean = difference.mean()
    assert abs(found.ci_low - (mean + widening * (low - mean))) < 0.15 * width
    assert abs(found.ci_high - (mean + widening * (high - mean))) < 0.15 * width
    widened = mean + widening * (slow - mean)
    assert found.p_better == pytest.approx((widened < 0).mean(), abs=0.04)


@pytest.mark.parametrize("n_windows", [4, 8, 20])
def test_intervals_hold_the_truth_as_often_as_they_say(n_windows):
    """Simulate 150 data sets with a true difference of 0.3 nats and more variance between windows than tokens."""
    generator, held, trials = np.random.default_rng(3), 0, 150
    windows = np.repeat(np.arange(n_windows), PER_WINDOW)
    for _ in range(trials):
        effect = 0.3 + generator.normal(size=n_windows)[windows] + generator.normal(size=len(windows))
        found = compare(frame(effect), frame(np.zeros(len(windows))), "ln_ppl")
        held += found.ci_low <= 0.3 <= found.ci_high
    assert 0.88 < held / trials < 0.99


def test_verdicts_follow_the_interval():
    nll = np.random.default_rng(0).gamma(2, 1, 12 * PER_WINDOW)
    wobble = 0.2 * np.sin(np.arange(len(nll)))
    better, same = frame(nll - 0.5 + wobble), frame(nll + wobble)
    found = compare(better, frame(nll), "ln_ppl")
    assert (found.verdict, found.p_better) == ("better", 1.0)
    assert compare(frame(nll), better, "ln_ppl").verdict == "worse"
    assert compare(same, frame(nll), "ln_ppl").verdict == "tied"


def test_equal_variants_are_tied_and_neither_is_better():
    nll = np.random.default_rng(0).gamma(2, 1, 5 * PER_WINDOW)
    found = compare(frame(nll), frame(nll), "kld")
    assert (found.difference, found.ci_low, found.ci_high, found.p_better) == (0, 0, 0, 0.5)
    assert found.verdict == "tied"


def test_metrics_read_their_own_columns():
    a, b = frame(np.ones(40), kld=np.full(40, 0.5)), frame(np.ones(40), kld=np.full(40, 0.1))
    assert compare(a, b, "ln_ppl").difference == 0
    assert compare(a, b, "kld").difference == pytest.approx(0.4)


def test_domains_are_strata_whose_difference_is_no_error():
    """All windows of a domain are equal, so the difference is certain, however much the domains differ."""
    windows = np.arange(8 * PER_WINDOW) // PER_WINDOW
    domains = np.where(windows < 4, "a", "b")
    nll = np.where(windows < 4, 1.0, 3.0)
    found = compare(frame(nll, domains=domains), frame(np.zeros(len(nll)), domains=domains), "ln_ppl")
    assert (found.ci_low, found.ci_high) == pytest.approx((2, 2))


def test_domain_of_one_window_makes_all_windows_one_stratum():
    windows = np.arange(5 * PER_WINDOW) // PER_WINDOW
    domains = np.where(windows < 1, "a", "b")
    nll = np.where(windows < 1, 1.0, 3.0)
    found = compare(frame(nll, domains=domains), frame(np.zeros(len(nll)), domains=domains), "ln_ppl")
    assert found.ci_low < found.difference - 0.1


def test_single_window_has_a_difference_but_no_verdict():
    found = compare(frame(np.full(9, 2.0)), frame(np.ones(9)), "ln_ppl")
    assert (found.difference, found.ci_low, found.p_better, found.verdict) == (1, None, None, None)


@pytest.mark.parametrize("n_windows", [2, 3])
def test_few_windows_make_nothing_certain(n_windows):
    """All windows favour a, by different amounts; with so few windows that can happen by chance."""
    effect = -np.repeat(np.arange(1.0, n_windows + 1), PER_WINDOW)
    found = compare(frame(effect), frame(np.zeros(len(effect))), "ln_ppl")
    assert found.verdict == "tied"
    assert 0.5 < found.p_better < 0.975


def test_interval_knows_how_few_windows_are_finite():
    nll = np.repeat([1.0, 2.0] + [0.0] * 18, PER_WINDOW)
    nll[2 * PER_WINDOW :: PER_WINDOW] = np.nan
    found = compare(frame(nll), frame(np.zeros(len(nll))), "ln_ppl")
    assert found.n_windows == 2
    assert found.ci_high - found.ci_low > 6  # Student's t of two windows: 1.5 ± 12.7 · 0.5, about


def test_windows_that_are_not_finite_are_left_out_of_the_pair():
    nll = np.repeat([1.0, 2.0, 3.0, 4.0], PER_WINDOW)
    broken = nll + 1
    broken[PER_WINDOW] = np.nan
    found = compare(frame(broken), frame(nll), "ln_ppl")
    assert (found.n_windows, found.n_tokens, found.difference) == (3, 3 * PER_WINDOW, 1)
    assert compare(frame(np.full(40, np.nan)), frame(np.ones(40)), "ln_ppl") is None


def test_other_tokens_are_refused():
    a = frame(np.ones(40))
    with pytest.raises(ValueError, match="same tokens"):
        compare(a, a.with_columns(token=pl.lit(3, pl.Int32)), "kld")


def test_all_pairs_are_each_pair():
    generator = np.random.default_rng(5)
    nll = generator.gamma(2, 1, 10 * PER_WINDOW)
    variants = {name: frame(nll + 0.1 * generator.normal(size=len(nll))) for name in "xyz"}
    variants["z"] = frame(np.where(np.arange(len(nll)) == 0, np.nan, nll))
    pairs = frame_of(Pairs, all_pairs(variants.items()))
    assert pairs.select("a", "b").unique(maintain_order=True).rows() == [("x", "y"), ("x", "z"), ("y", "z")]
    for row in pairs.iter_rows(named=True):
        found = compare(variants[row["a"]], variants[row["b"]], row["metric"])
        assert {name: row[name] for name in vars(found)} == pytest.approx(vars(found))
        assert row["verdict"] == found.verdict


def test_pair_can_be_asked_for_either_way_round():
    generator = np.random.default_rng(5)
    nll = generator.gamma(2, 1, 10 * PER_WINDOW)
    x, y = frame(nll), frame(nll + 0.3 + 0.1 * generator.normal(size=len(nll)))
    pairs = frame_of(Pairs, all_pairs([("x", x), ("y", y)]))
    assert between(pairs, "x", "y", "kld") | {"verdict": "better"} == between(pairs, "x", "y", "kld")
    turned, found = between(pairs, "y", "x", "kld"), compare(y, x, "kld")
    assert {name: turned[name] for name in vars(found)} == pytest.approx(vars(found))
    assert (turned["a"], turned["b"], turned["verdict"]) == ("y", "x", "worse")
    assert between(pairs, "x", "z", "kld") is None


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_variants_make_no_pairs(count):
    assert all_pairs([("x", frame(np.ones(40)))] * count) == []


def test_dashboard_can_compare_without_a_runtime():
    heavy = "{'torch', 'onnxruntime', 'optimum', 'transformers', 'tokenizers'}"
    code = (
        "import sys, evaluator.metrics.pairwise, evaluator.metrics.breakdowns, evaluator.metrics.token_scores;"
        f"sys.exit(len({heavy} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
