"""A method is the best if it is ahead of each other one, and is not if anyone is ahead of it."""

import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import pytest

from dashboard.insights.claim_rules import Case, extreme
from dashboard.insights.claims.summary import _rate, _strength
from dashboard.insights.confidence import entropy_gap, shares
from dashboard.insights.summary import BY_RULE, CLOSEST, MethodSummary
from dashboard.results.results import Results
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.results.statistics import Estimate
from evaluator.metrics.breakdowns import CONFIDENCE_EDGES

ALL = Selection()


@pytest.mark.parametrize(
    ("ahead", "verdict"),
    [
        ({"b": (1.0, 0.1), "c": (0.3, 0.1)}, "holds"),
        ({"b": (1.0, 0.1), "c": (0.1, 0.1)}, "unknown"),
        # behind c, although b and c cannot be told apart
        ({"b": (-0.1, 0.1), "c": (-0.4, 0.1)}, "fails"),
        # −0.21 ± 0.196 alone, ± 0.224 for both together (z = 2.24)
        ({"b": (1.0, 0.1), "c": (-0.21, 0.1)}, "unknown"),
        ({"c": (-0.21, 0.1)}, "fails"),
    ],
)
def test_the_best_is_ahead_of_each(ahead: dict[str, tuple[float, float]], verdict: str) -> None:
    claim = extreme("c", "a", {name: Estimate(*lead) for name, lead in ahead.items()}, "e")
    assert claim.verdict == verdict


def test_the_error_of_an_entropy_gap_is_that_of_leaving_windows_out(three_methods: Path) -> None:
    """A jackknife over windows, from the token files, is the oracle."""
    results = Results.open(three_methods)
    rows = results.measured.sort("variant_id").to_dicts()
    first, second = rows[0], next(row for row in rows if row["method"] == "main")
    scope = Scope(results, ALL)
    ours, theirs = shares(scope, first), shares(scope, second)
    assert ours is not None
    assert theirs is not None
    found = entropy_gap(scope, ours, theirs)
    assert found is not None

    def counts(row: Row) -> np.ndarray:
        tokens = pl.read_parquet(three_methods / "tokens" / f"{row['variant_id']}.parquet")
        binned = np.clip(np.searchsorted(CONFIDENCE_EDGES, tokens["top_prob"], "right") - 1, 0, 4)
        return np.array(
            [np.bincount(binned[tokens["window"] == w], minlength=5) for w in tokens["window"].unique()]
        )

    def entropy(total: np.ndarray) -> float:
        share = total[total > 0] / total.sum()
        return float(-(share * np.log(share)).sum())

    one, other = counts(first), counts(second)
    n = len(one)
    left = [entropy(one.sum(0) - one[w]) - entropy(other.sum(0) - other[w]) for w in range(n)]
    jackknife = math.sqrt((n - 1) / n * sum((value - np.mean(left)) ** 2 for value in left))
    assert found.value == pytest.approx(entropy(one.sum(0)) - entropy(other.sum(0)), abs=1e-9)
    assert found.se == pytest.approx(jackknife, rel=0.15)


def file(bits: float, rise: float, error: float = 0.001) -> dict[str, Any]:
    row = {"variant_id": f"v{bits}", "method": "unsloth", "label": "x", "quant": "Q", "bits_per_weight": bits}
    return row | {"ln_ppl_ratio": rise, "ln_ppl_ratio_se": error, "model": "m", "run_decode_ms_p50": None}


def case(*rows: dict[str, Any]) -> Case:
    return Case(Scope(cast(Results, None), ALL), list(rows))


@pytest.mark.parametrize(
    ("rows", "chosen", "verdict"),
    [
        ([file(4.5, 0.02)], BY_RULE, "holds"),
        ([file(5.1, 0.02)], BY_RULE, "fails"),
        ([file(6.2, 0.05)], CLOSEST, "fails"),  # even 6.2 bits cost more than 3 %
        ([file(6.2, 0.029, 0.01)], CLOSEST, "unknown"),  # 3 % is inside the interval
        ([file(3.0, 0.5)], CLOSEST, "unknown"),  # nothing of 4 bits and up
    ],
)
def test_more_bits_that_miss_the_rule_refute_fewer(
    rows: list[dict[str, Any]], chosen: str, verdict: str
) -> None:
    lines = {"unsloth": MethodSummary("unsloth", rows[0], chosen, (), ())}
    assert _rate(case(*rows), lines, "unsloth", 4).verdict == verdict


@pytest.mark.parametrize(
    ("ours", "theirs", "timed", "verdict"),
    [
        (("small files (Q4)", "speed (Q4)"), (), True, "holds"),
        (("speed (Q4)",), ("small files (Q4)",), True, "fails"),  # small is one half of the claim
        (("small files (Q4)",), (), True, "unknown"),
        (("small files (Q4)",), (), False, "untestable"),
        ((), ("small files (Q4)",), False, "fails"),
    ],
)
def test_small_and_fast_needs_both(
    ours: tuple[str, ...], theirs: tuple[str, ...], timed: bool, verdict: str
) -> None:
    row = file(4.5, 0.02) | {"run_decode_ms_p50": 5.0 if timed else None}
    lines = {
        "unsloth": MethodSummary("unsloth", row, BY_RULE, ours, ()),
        "main": MethodSummary("main", row, BY_RULE, theirs, ()),
    }
    scope = Case(cast(Scope, type("S", (), {"in_engine": ""})()), [row])
    assert _strength(scope, lines, "unsloth", ("small files", "speed"), "c").verdict == verdict
