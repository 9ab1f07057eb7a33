"""What is the best, the worst or the farthest of many was chosen from the data: chance chooses too."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from variant_rows import NONE, step

from dashboard.insights.claim_rules import Case, leads
from dashboard.insights.comparison import Ranking
from dashboard.insights.curves import inversions
from dashboard.insights.losses import Extremes
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING
from dashboard.results.statistics import Estimate, clustered_mean

TRIALS = 1500
#: 5 % and three standard errors of `TRIALS`.
MOST = 0.05 + 3 * math.sqrt(0.05 * 0.95 / TRIALS)


def estimate(values: NDArray[np.float64]) -> Estimate:
    found = clustered_mean(values, np.ones(len(values)))
    assert found is not None
    return found


@pytest.mark.parametrize("windows", [(5, 5, 5, 5, 20), (5,) * 5, (8, 8), (24,) * 12])
def test_texts_that_lose_the_same_are_rarely_told_apart(windows: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(windows))
    wrong = 0
    for _ in range(TRIALS):
        wrong += Extremes.of({str(i): estimate(rng.normal(size=n)) for i, n in enumerate(windows)}).differ
    assert wrong / TRIALS < MOST


def test_texts_that_differ_are_told_apart() -> None:
    found = Extremes.of({"a": Estimate(3, 0.1, 4), "b": Estimate(1, 0.1, 4), "c": Estimate(2, 0.1, 4)})
    assert (found.most, found.least, found.apart.value) == ("a", "b", 2)
    # Eight degrees by Welch, three pairs: t at 0.05/3 two-sided is 3.016.
    assert found.reach == pytest.approx(3.016 * math.hypot(0.1, 0.1), rel=1e-3)
    assert found.differ


def ranking(draws: NDArray[np.float64]) -> Ranking:
    """Rank methods, a row each, by their means over windows, a column each; less is better."""
    order = np.argsort(draws.mean(axis=1))
    values = {str(method): estimate(draws[method]) for method in order}
    gaps = {str(method): estimate(draws[method] - draws[order[0]]) for method in order[1:]}
    return Ranking(values, gaps)


@pytest.mark.parametrize(("methods", "far"), [(2, 0), (3, 0), (3, 1), (5, 0), (5, 2), (12, 0)])
def test_equal_methods_are_rarely_ranked(methods: int, far: int) -> None:
    """`far` of the methods are much worse; that these are behind is right, of the others it is wrong."""
    rng = np.random.default_rng(methods)
    shift = np.where(np.arange(methods) < far, 9.0, 0.0)[:, None]
    wrong = 0
    for _ in range(TRIALS):
        behind = ranking(rng.normal(size=(methods, 20)) + shift).behind
        assert all(str(method) in behind for method in range(far))
        wrong += len(behind) > far
    assert wrong / TRIALS < MOST


LEAD = {"b": Estimate(1, 0.4), "c": Estimate(1.2, 0.4)}
VALUES = {name: Estimate(0, 0.1) for name in "abc"}


def test_a_lead_of_one_method_needs_no_wider_interval() -> None:
    assert Ranking(VALUES, LEAD).tied == []
    assert list(Ranking(VALUES, LEAD).behind) == ["b", "c"]


def test_the_farthest_behind_needs_one_where_the_second_is_tied() -> None:
    # The bound of three pairs is 2.394 errors: 0.958.
    near = {"b": Estimate(0.5, 0.4), "c": Estimate(0.9, 0.4)}
    assert Ranking(VALUES, near).tied == ["b", "c"]
    assert list(Ranking(VALUES, near | {"c": Estimate(1.0, 0.4)}).behind) == ["c"]


def wide(quant: str, bits: float, ratio: float) -> Row:
    return step(quant, bits, ratio, 0.1)


def test_one_of_many_steps_is_out_of_order_by_chance() -> None:
    # The step is 0.3 ± 0.277 by itself; of six steps the bound is 2.638 × 0.1414 = 0.373.
    few = [wide("Q2", 2, 0.0), wide("Q3", 3, 0.3)]
    more = [wide(f"Q{bits}", bits, 0.3) for bits in range(4, 9)]
    assert len(inversions(Scope(NONE, EVERYTHING), few)) == 1
    assert inversions(Scope(NONE, EVERYTHING), [*few, *more]) == []
    assert len(inversions(Scope(NONE, EVERYTHING), [few[0], wide("Q3", 3, 0.4), *more])) == 1


def test_a_claim_names_a_rival_that_is_within_its_error() -> None:
    methods = ("bartowski", "main", "unsloth")
    case = Case(
        Scope(NONE, EVERYTHING),
        [wide("Q4", 4, 0.1) | {"method": name, "variant_id": name} for name in methods],
    )
    gaps = {"main": Estimate(0.9, 0.4), "unsloth": Estimate(1.0, 0.8)}
    found = Ranking({name: Estimate(0, 0.1) for name in methods}, gaps)
    claim = leads("c", case, "bartowski", found, lambda gap: str(gap.value), "here")
    assert claim.verdict == "unknown"
    assert "ahead of unsloth: the difference is within its error" in claim.evidence
    assert leads("c", case, "main", found, str, "here").verdict == "unknown"
