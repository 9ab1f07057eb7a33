"""Subsets of the tokens: which tokens they contain, and that they are measured like all tokens."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from evaluator.metrics import TokenScores, measure
from evaluator.metrics.breakdowns import by_confidence, by_domain, confidence_bins
from evaluator.results.schema import Confidence, Domains, with_schema

N = 60
GENERATOR = np.random.default_rng(0)
SCORES = TokenScores(
    size_bytes=1000,
    windows=np.arange(N) // 5,
    nll=GENERATOR.gamma(2, 1, N),
    top_prob=GENERATOR.random(N),
    baseline_nll=GENERATOR.gamma(2, 1, N),
    kld=GENERATOR.exponential(0.1, N),
    same_top=(GENERATOR.random(N) < 0.8).astype(float),
    baseline_top_prob=np.where(np.arange(N) < 6, 0.1, 0.8),
    domains=np.array(["b", "a"])[(np.arange(N) // 5) % 2],
)


def test_domains_are_measured_on_their_own_tokens():
    rows = by_domain("v", SCORES)
    assert [(row["domain"], row["n_tokens"], row["n_windows"]) for row in rows] == [
        ("a", 30, 6),
        ("b", 30, 6),
    ]
    inside = SCORES.domains == "b"
    assert rows[1]["kld_mean"] == pytest.approx(SCORES.kld[inside].mean())
    assert rows[1]["ppl"] == pytest.approx(np.exp(SCORES.nll[inside].mean()))
    assert rows[1]["same_top_se_clustered"] == measure(SCORES.subset(inside))[0]["same_top_se_clustered"]
    assert "kld_macro" not in rows[0]
    assert with_schema(Domains, pl.DataFrame(rows)).height == 2


@pytest.mark.parametrize(
    ("probability", "place"),
    [(0.0, 0), (0.2499, 0), (0.25, 1), (0.5, 2), (0.75, 3), (0.9499, 3), (0.95, 4), (1.0, 4), (1.00001, 4)],
)
def test_bins_hold_their_lower_edge(probability, place):
    assert confidence_bins(np.array([probability])).tolist() == [place]


def test_confidence_is_the_baselines_and_shares_are_the_variants_own():
    rows = by_confidence("v", SCORES)
    assert [row["n_tokens"] for row in rows] == [6, 0, 0, 54, 0]
    assert (rows[0]["low"], rows[0]["high"], rows[4]["high"]) == (0.0, 0.25, 1.0)
    assert rows[0]["kld_mean"] == pytest.approx(SCORES.kld[:6].mean())
    assert rows[3]["delta_logp_mean"] == pytest.approx((SCORES.baseline_nll - SCORES.nll)[6:].mean())
    assert rows[1].get("kld_mean") is None
    own = (SCORES.top_prob >= 0.5) & (SCORES.top_prob < 0.75)
    assert rows[2]["share"] == pytest.approx(own.mean())
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    frame = with_schema(Confidence, pl.DataFrame(rows, infer_schema_length=None))
    assert frame["kld_mean"].null_count() == 3


def test_baseline_is_binned_by_itself():
    alone = TokenScores(1, SCORES.windows, SCORES.nll, SCORES.top_prob)
    rows = by_confidence("b", alone)
    assert [row["n_tokens"] / N for row in rows] == pytest.approx([row["share"] for row in rows])


def test_no_tokens_make_no_rows():
    nothing = SCORES.subset(np.zeros(N, bool))
    assert by_domain("v", nothing) == by_confidence("v", nothing) == []
