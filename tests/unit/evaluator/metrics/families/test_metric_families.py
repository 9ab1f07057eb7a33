"""Every metric family on three tokens, against hand-computed values."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import numpy as np
import pytest

from evaluator import metrics
from evaluator.metrics import Family, TokenScores, columns_of, measure
from evaluator.results.schema import Variants

P, BASELINE_P = (0.5, 0.25, 0.5), (0.5, 0.5, 0.25)
LN2 = math.log(2)
SCORES = TokenScores(
    size_bytes=2_000_000,
    windows=np.array([0, 0, 1]),
    nll=-np.log(P),
    top_prob=np.array([0.6, 0.7, 0.8]),
    baseline_nll=-np.log(BASELINE_P),
    kld=np.array([0.0, 0.3, 0.6]),
    same_top=np.array([1.0, 1.0, 0.0]),
    baseline_top_prob=np.array([0.6, 0.2, 0.3]),
    domains=np.array(["prose", "prose", "code"]),
)
BASELINE = replace(SCORES, baseline_nll=None, kld=None, same_top=None, baseline_top_prob=None)
MEAN_NLL = 4 / 3 * LN2
SE = 1 / math.sqrt(3)

EXPECTED = {
    "ppl": math.exp(MEAN_NLL),
    "ppl_se": math.exp(MEAN_NLL) * statistics.stdev([LN2, 2 * LN2, LN2]) * SE,
    # nll in windows 0, 0, 1 is ln 2 · (1, 2, 1): cluster sums of the deviations ln 2 / 3 and −ln 2 / 3
    "ppl_se_clustered": math.exp(MEAN_NLL) * math.sqrt(2 * 2 * (LN2 / 3) ** 2) / 3,
    "ppl_ratio": 1.0,
    "ppl_ratio_se": statistics.stdev([0, LN2, -LN2]) * SE,
    "ppl_diff": 0.0,
    "ppl_diff_se": math.exp(MEAN_NLL) * statistics.stdev([0, LN2, -LN2]) * SE,
    "ln_ppl_ratio_se_clustered": math.sqrt(2 * 2 * LN2**2) / 3,
    "ln_ppl_ratio": 0.0,
    "ln_ppl_ratio_se": statistics.stdev([0, LN2, -LN2]) * SE,
    "cor_ln_ppl": -0.5,
    "kld_mean": 0.3,
    "kld_se": 0.3 * SE,
    # deviations −0.3, 0, 0.3 in windows 0, 0, 1: cluster sums −0.3 and 0.3
    "kld_se_clustered": math.sqrt(2 * (0.09 + 0.09)) / 3,
    "kld_median": 0.3,
    "kld_min": 0.0,
    "kld_max": 0.6,
    "kld_p900": 0.54,
    "kld_p999": 0.5994,
    "same_top": 2 / 3,
    "same_top_se": math.sqrt(2 / 3 * 1 / 3 / 2),
    # deviations 1/3, 1/3, −2/3: cluster sums 2/3 and −2/3
    "same_top_se_clustered": math.sqrt(2 * 2 * (2 / 3) ** 2) / 3,
    "delta_p_mean": 0.0,
    "delta_p_rms": math.sqrt((25**2 + 25**2) / 3),
    "delta_p_se": 25 * SE,
    # squares 0, 625, 625 with mean square R²; the error of R is that of R² over 2 R
    "delta_p_rms_se": statistics.stdev([0, 625, 625]) * SE / (2 * math.sqrt(1250 / 3)),
    "delta_p_min": -25.0,
    "delta_p_max": 25.0,
    "delta_p_p500": 0.0,
    "delta_p_p100": -20.0,
    "delta_logp_mean": 0.0,
    "delta_logp_p250": -LN2 / 2,
    "delta_logp_p750": LN2 / 2,
    "top_prob_mean": 0.7,
    "top_prob_se": 0.1 * SE,
    "inv_ppl_per_mb": math.exp(-MEAN_NLL) / 2,
    # prose has the first two tokens, code the third; both have the same weight
    "ppl_macro": math.exp((1.5 + 1) / 2 * LN2),
    "kld_macro": (0.15 + 0.6) / 2,
    "ln_ppl_ratio_macro": (0.5 - 1) / 2 * LN2,
    "same_top_macro": 0.5,
}


@pytest.mark.parametrize("column", EXPECTED)
def test_column_is_the_hand_computed_number(column):
    columns, warnings = measure(SCORES)
    assert warnings == []
    assert columns[column] == pytest.approx(EXPECTED[column], abs=1e-12)


def test_baseline_has_no_comparison():
    columns, warnings = measure(BASELINE)
    assert warnings == []
    assert columns["ppl"] == pytest.approx(EXPECTED["ppl"])
    compared = ("kld", "same_top", "delta", "ln_ppl", "cor")
    assert not [name for name, value in columns.items() if name.startswith(compared) and value is not None]


def test_no_tokens_give_no_columns_and_no_warnings():
    nothing = np.array([])
    empty = TokenScores(1, nothing.astype(int), *[nothing] * 5)
    columns, warnings = measure(empty)
    assert warnings == []
    assert all(value is None for value in columns.values())


def test_single_token_has_no_errors_of_its_own():
    columns, warnings = measure(SCORES.subset(np.array([True, False, False])))
    assert warnings == []
    assert [
        columns[name] for name in ("ppl_se", "kld_se", "kld_se_clustered", "same_top_se", "cor_ln_ppl")
    ] == [None] * 5


def test_macro_error_adds_the_domains_own_errors():
    """With two windows per domain the errors of their means are 0.05 and 0.2; each has weight one half."""
    kld = np.array([0.1, 0.2, 0.3, 0.7])
    scores = replace(
        SCORES.subset(np.array([True, True, True])),
        windows=np.arange(4),
        domains=np.array(["a", "a", "b", "b"]),
        **dict.fromkeys(("nll", "top_prob", "baseline_nll", "same_top", "baseline_top_prob", "kld"), kld),
    )
    columns, warnings = measure(scores)
    assert warnings == []
    assert columns["kld_macro"] == pytest.approx((0.15 + 0.5) / 2)
    assert columns["kld_macro_se"] == pytest.approx(math.hypot(0.05, 0.2) / 2)


def test_macro_error_is_unknown_where_a_domain_has_one_window():
    assert measure(SCORES)[0]["kld_macro_se"] is None


def test_scores_without_domains_have_no_macro_average():
    columns, _ = measure(replace(SCORES, domains=None))
    assert not [name for name in columns if "macro" in name]


def test_subset_keeps_what_is_not_per_token():
    kept = SCORES.subset(np.array([False, True, True]))
    assert (kept.size_bytes, kept.kld.tolist(), kept.domains.tolist()) == (
        2_000_000,
        [0.3, 0.6],
        ["prose", "code"],
    )
    assert BASELINE.subset(np.array([True, False, False])).kld is None


def test_family_that_raises_leaves_a_warning_and_the_others(monkeypatch):
    entries = dict(metrics.METRIC_FAMILIES)

    def broken(_):
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(
        metrics.METRIC_FAMILIES, "_entries", {"broken": Family("Broken", 99, (), broken)} | entries
    )
    columns, warnings = measure(SCORES)
    assert warnings == ["metric family broken failed: ZeroDivisionError: by nothing"]
    assert columns.keys() == {
        name for family in entries.values() if family.measure for name in family.measure(SCORES)
    }


def test_value_that_is_no_number_is_null_and_a_warning_and_the_rest_is_kept(monkeypatch):
    entries = dict(metrics.METRIC_FAMILIES)

    def odd(_):
        return {"a": math.nan, "b": math.inf, "c": "1", "d": True, "e": np.float32(2), "f": None, "ppl": 1.0}

    monkeypatch.setattr(metrics.METRIC_FAMILIES, "_entries", entries | {"odd": Family("Odd", 99, (), odd)})
    columns, warnings = measure(SCORES)
    assert [columns[name] for name in "abcdef"] == [None, None, None, None, 2, None]
    assert columns["ppl"] == pytest.approx(EXPECTED["ppl"])
    assert [warning.split()[3] for warning in warnings] == ["a", "b", "c", "d", "ppl"]


def test_every_family_lists_the_columns_that_it_measures_and_no_others():
    for name, family in metrics.METRIC_FAMILIES:
        if family.measure is not None:
            assert set(family.measure(SCORES)) == {column.name for column in family.columns}, name


def test_schema_has_every_column_of_every_family():
    assert set(columns_of()) <= set(Variants.columns())


def test_no_column_belongs_to_two_families():
    names = [column.name for _, family in metrics.METRIC_FAMILIES for column in family.columns]
    assert len(names) == len(set(names))
