"""Files that may be the best on an axis of the radar, by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from dashboard.insights.claim_rules import Case
from dashboard.insights.leaders import FIDELITY
from dashboard.insights.standings import _least, standings, tail
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING
from dashboard.results.statistics import Estimate

SAMPLE = Path(__file__).parents[4] / "sample_results"

ROW: dict[str, Any] = {
    "kld_p950": 0.1,
    "kld_p990": 0.3,
    "kld_p999": 0.1 + math.log(50),
    "kld_se": 0.01,
    "kld_se_clustered": 0.02,
    "n_tokens": 9900,
}


def test_the_error_of_a_percentile_is_that_of_an_exponential_tail() -> None:
    """β is 1, so the error is √(0.99 / (0.01 × 9900)) = 0.1, twice as wide by window."""
    found = tail(ROW)
    assert found is not None
    assert (found.value, found.se) == (0.3, pytest.approx(0.2))
    alone = tail(ROW | {"kld_se_clustered": 0.005})
    assert alone is not None
    assert alone.se == pytest.approx(0.1), "a cluster does not make it narrower"


def test_without_percentiles_there_is_no_tail_and_without_errors_no_error() -> None:
    assert tail(ROW | {"kld_p999": None}) is None
    unknown = tail(ROW | {"kld_se": None})
    assert unknown is not None
    assert not unknown.has_error


def test_files_within_the_error_of_the_least_are_level() -> None:
    """√(0.03² + 0.04²) = 0.05: a difference of 0.09 is within 1.96 times that, one of 0.11 is not."""
    names = [{"variant_id": name} for name in "abc"]
    values = [Estimate(1.09, 0.04), Estimate(1.0, 0.03), Estimate(1.11, 0.04)]
    assert [row["variant_id"] for row in _least(list(zip(names, values, strict=True)))] == ["b", "a"]


@pytest.mark.parametrize("model", Results.open(SAMPLE).models)
def test_what_is_tied_at_its_size_is_level_on_the_radar(model: str) -> None:
    """The files of every size of the sample: level are those that the comparison at equal size calls tied."""
    scope = Scope(Results.open(SAMPLE).of_model(model), EVERYTHING)
    compared = [band for band in Case.of(scope).bands if len(band.files) > 1]
    assert compared
    for band in compared:
        level = standings(scope, list(band.files.values()))[FIDELITY]
        named = {str(row["method"]) for row in level}
        assert level[0]["method"] == band.ranking.best
        assert set(band.first) <= named
