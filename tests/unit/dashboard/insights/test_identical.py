"""Files that hold the same weights are called identical, never tied; one file alone is compared with nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from twins import FIRST, SECOND, make_twins

from dashboard.insights.comparison import Ranking, tie
from dashboard.insights.verdict import verdict
from dashboard.pages import compare, summary
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.results.statistics import Estimate
from dashboard.views import registry

SAMPLE = Path(__file__).parents[4] / "sample_results"
SUPERLATIVES = ("most", "highest", "lowest", "heaviest", "narrowest", "closest")


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return Results.open(make_twins(tmp_path_factory.mktemp("twins"), windows=8))


@pytest.fixture(scope="module")
def sample() -> Results:
    """The part of the sample about the model that has Q8_0 of two methods."""
    return Results.open(SAMPLE).of_model("SmolLM2-135M-Instruct")


def of(results: Results, *parts: str) -> Scope:
    ids = results.measured["variant_id"].to_list()
    return Scope(results, Selection.of(only=[name for name in ids if any(part in name for part in parts)]))


def test_compare_says_that_twins_give_the_same_probabilities(twins: Results) -> None:
    scope = Scope(twins, Selection.of(options={"a": FIRST, "b": SECOND}))
    assert "give the same probabilities, token by token" in compare.headline(scope)
    said = [item.text for item in compare.insights(scope)]
    assert any("tests give identical values" in text for text in said)
    assert not any("tied" in text for text in said)


def test_equal_weights_of_two_methods_are_identical(sample: Results) -> None:
    scope = of(sample, "bartowski-q8_0", "main-q8_0")
    assert len(scope.rows) == 2
    views = {view.id: view for view in registry()}
    assert "are identical, token by token" in views["delta-logp"].headline(scope)
    said = [item.text for item in views["confidence"].insights(scope)]
    assert any("bartowski and main are identical" in text for text in said)
    assert any("bartowski and main identical" in item.text for item in views["ppl-bits"].insights(scope))


def test_a_difference_of_0_with_an_error_is_a_tie() -> None:
    values = {"a": Estimate(1.0, 0.1), "b": Estimate(1.0, 0.1)}
    assert tie(Ranking(values, {"b": Estimate(0.0, 0.0)})) == "a and b are identical"
    assert tie(Ranking(values, {"b": Estimate(0.0, 0.01)})) == "a and b are tied"
    assert verdict([]).effect == 0.0


@pytest.mark.parametrize("name", ["layers", "confidence", "delta-logp"])
def test_a_single_file_leads_nothing(sample: Results, name: str) -> None:
    scope = of(sample, "bartowski-q2_k")
    assert len(scope.rows) == 1
    view = next(view for view in registry() if view.id == name)
    said = [view.headline(scope) if name != "layers" else "", *(item.text for item in view.insights(scope))]
    about = [text for text in said if "top probability is" not in text]  # bins of one file are compared
    assert not [text for text in about if any(word in text.split() for word in SUPERLATIVES)]


def test_the_summary_names_the_smallest_file_within_the_bound(sample: Results) -> None:
    within = "within 3 % of the baseline's perplexity"
    assert summary.headline(of(sample, "bartowski")) == f"Smallest file {within}: bartowski Q5_K_M"
    assert summary.headline(of(sample, "bartowski-q2_k")) == f"No file of bartowski is {within}"
    both = summary.headline(of(sample, "bartowski-q8_0", "main-q2_k"))
    assert both == f"Smallest file {within}: bartowski Q8_0; no file of main"
