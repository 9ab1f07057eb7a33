"""A folder of a thousand variants: what is compared with all of them stays quick, and all can be found."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from results_factory import make_results

from dashboard.figures.scores import axes
from dashboard.insights import comparison
from dashboard.insights import leaders as leading
from dashboard.insights.leaders import leaders
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.shell.toolbar import find_list
from dashboard.views import radar

PARALLEL = Selection.of(options={"form": "parallel"})


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The 21 variants of the factory 48 times, each a little larger and worse; no token frames."""
    folder = make_results(tmp_path_factory.mktemp("thousand"), with_layers=False, windows=4)
    shutil.rmtree(folder / "tokens")
    frame = pl.read_parquet(folder / "variants.parquet")
    parts = [frame.filter("is_baseline")]
    for copy in range(48):
        named = [pl.concat_str(name, pl.lit(f"-{copy}")).alias(name) for name in ("variant_id", "quant")]
        worse = [pl.col("bits_per_weight") + 0.003 * copy, pl.col("ln_ppl_ratio") + 0.0001 * copy]
        parts.append(frame.filter(~pl.col("is_baseline")).with_columns(*named, *worse))
    pl.concat(parts).write_parquet(folder / "variants.parquet")
    return Results.open(folder)


@pytest.fixture(scope="module")
def few(three_methods: Path) -> Results:
    return Results.open(three_methods)


def test_only_those_that_may_lead_are_compared_token_by_token(
    thousand: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return combine(*arguments)

    combine = comparison.combine
    monkeypatch.setattr(comparison, "combine", counted)
    rows = thousand.select(EVERYTHING).to_dicts()
    assert set(leaders(Scope(thousand, EVERYTHING), rows)) == {
        "perplexity", "mean KLD", "same top token", "file size", "decode speed", "1/PPL per MB",
    }  # fmt: skip
    assert len(calls) < 3 * 100


@pytest.mark.parametrize("most", [2, 5, 12])
def test_the_leaders_are_those_of_all(few: Results, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    for part in (EVERYTHING, Selection.of(methods=["main"]), Selection.of(quants=["Q2_K", "Q8_0"], bins=[1])):
        rows = few.select(part).to_dicts()
        monkeypatch.setattr(leading, "_MOST_RANKED", len(rows))
        of_all = leaders(Scope(few, part), rows)
        monkeypatch.setattr(leading, "_MOST_RANKED", most)
        assert leaders(Scope(few, part), rows) == of_all


def test_a_metric_that_one_of_many_lacks_has_no_leader(thousand: Results) -> None:
    rows = thousand.select(EVERYTHING).to_dicts()
    rows[7]["kld_mean"] = None
    assert "mean KLD" not in leaders(Scope(thousand, EVERYTHING), rows)


def test_who_is_beaten_on_every_axis_is_as_defined(few: Results) -> None:
    rows, spokes = few.select(EVERYTHING).to_dicts(), axes(Scope(few, EVERYTHING))
    rows[3] |= {"run_decode_ms_p50": None, "kld_p990": None}
    beaten = [
        f"{row['label']} (behind {other['label']})"
        for row in rows
        if (other := _beater(row, rows, spokes)) is not None
    ]
    found = radar._dominated(rows, spokes, ()).text
    assert beaten
    assert beaten[0] in found
    assert found.count("(behind ") in {len(beaten), 3}
    level = [row for row in rows if _beater(row, rows, spokes) is not None]
    assert radar._dominated(rows, spokes, [level]).text.startswith("No shown variant is behind")


def _beater(row: dict[str, Any], rows: list[dict[str, Any]], spokes: list[Any]) -> dict[str, Any] | None:
    for other in rows:
        pairs = [(axis.score(row), axis.score(other)) for axis in spokes]
        known = [(mine, theirs) for mine, theirs in pairs if mine is not None and theirs is not None]
        if known and all(theirs > mine for mine, theirs in known):
            return other
    return None


def test_parallel_axes_are_drawn_and_told(thousand: Results) -> None:
    assert radar.headline(Scope(thousand, PARALLEL))
    assert any(
        "Behind on every axis" in insight.text for insight in radar.insights(Scope(thousand, PARALLEL))
    )


def test_all_can_be_found(thousand: Results) -> None:
    names = {option.children for option in find_list(thousand)}
    assert names == set(thousand.measured["label"])
    assert len(names) == 1008
