"""The few files that a chart draws: the recommended one and its siblings."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from results_factory import make_results

from dashboard.insights.answers import Answers
from dashboard.insights.tier import tier
from dashboard.results.results import Results
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection

QUANTS = ("Q4_0", "Q6_K", "Q8_0")
#: Sizes in MB; the everyday file is main's Q6_K.
SIZES = {
    "main": (80, 100, 130),
    "bartowski": (90, 100.5, 140),
    "unsloth": (85, 112, 131),
}
#: ln of the rise of perplexity: 5 % at Q4_0, 1 % at Q6_K of main, otherwise 4 %.
RISES = {"Q4_0": 0.05, "Q6_K": 0.01, "Q8_0": 0.005}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = make_results(
        tmp_path_factory.mktemp("tier"), methods=tuple(SIZES), quants=QUANTS, windows=4, with_layers=False
    )
    path = folder / "variants.parquet"
    frame = pl.read_parquet(path)
    sizes = {
        f"{method}-{quant.lower()}": int(1e6 * size)
        for method, of in SIZES.items()
        for quant, size in zip(QUANTS, of, strict=True)
    }
    rises = {f"{method}-{quant.lower()}": RISES[quant] for method in SIZES for quant in QUANTS}
    known = pl.col("variant_id").is_in(list(sizes))
    frame = frame.with_columns(
        size_bytes=pl.when(known)
        .then(pl.col("variant_id").replace_strict(sizes, default=None))
        .otherwise("size_bytes"),
        ln_ppl_ratio=pl.when(known)
        .then(pl.col("variant_id").replace_strict(rises, default=None))
        .otherwise(0.0),
        ln_ppl_ratio_se=pl.lit(1e-4),
        ln_ppl_ratio_se_clustered=pl.lit(1e-4),
    )
    frame.write_parquet(path)
    return Results.open(folder)


def ids(results: Results, selection: Selection, most: int = 6, more: int = 0) -> list[str]:
    scope = Scope(results, selection)
    return [str(row["variant_id"]) for row in tier(scope, scope.rows, most, more).rows]


def test_every_other_method_has_its_file_nearest_in_size(results: Results) -> None:
    chosen: Row | None = Answers.of(Scope(results, Selection())).chosen
    assert chosen is not None
    assert chosen["variant_id"] == "main-q6_k", "the smallest file whose perplexity rises by less than 3 %"
    assert ids(results, Selection()) == ["main-q6_k", "bartowski-q6_k", "unsloth-q6_k"]


def test_files_of_another_size_are_named_with_how_far_they_are(results: Results) -> None:
    scope = Scope(results, Selection())
    (note,) = tier(scope, scope.rows, 6).told
    shown = "Shown: main Q6_K and, of the other methods, the files nearest in size: bartowski Q6_K and unsloth Q6_K."
    assert note.text == shown
    assert note.detail == "not within 1 % of its size: unsloth Q6_K +12 %"


def test_picks_come_first_and_leave_the_others_as_they_are(results: Results) -> None:
    drawn = ids(results, Selection())
    assert ids(results, Selection.of(picked=["unsloth-q8_0"])) == ["unsloth-q8_0", *drawn]
    assert ids(results, Selection.of(picked=[drawn[1]])) == drawn


def test_where_there_is_no_room_the_recommended_file_stays(results: Results) -> None:
    picked = ["main-q4_0", "unsloth-q4_0", "bartowski-q4_0"]
    scope = Scope(results, Selection.of(picked=picked))
    found = tier(scope, scope.rows, 3)
    assert [row["variant_id"] for row in found.rows] == ["bartowski-q4_0", "main-q4_0", "main-q6_k"]
    assert found.told[0].detail.endswith("no room for 1 more of the picked files")


@pytest.mark.parametrize("methods", [[], ["main"]])
def test_with_places_of_their_own_picks_change_nothing_else(results: Results, methods: list[str]) -> None:
    """Of three methods, and of one whose files are spread over its sizes."""
    everything = [f"{method}-{quant.lower()}" for method in methods or SIZES for quant in QUANTS]
    most = 2 if methods else 3
    drawn = ids(results, Selection.of(methods=methods), most)
    for picked in ([everything[0]], everything[:2], everything):
        scope = Scope(results, Selection.of(picked=picked, methods=methods))
        found = tier(scope, scope.rows, most, 2)
        assert [row["variant_id"] for row in found.steady] == drawn
        added = [row["variant_id"] for row in found.rows[: found.picked]]
        assert len(added) == min(2, len(set(picked) - set(drawn)))
        assert set(added) <= set(picked) - set(drawn)
        assert found.left == len(set(picked) - set(drawn)) - len(added)
        told = " ".join(f"{note.text} {note.detail}" for note in found.told)
        assert (f"no room for {found.left} more of the picked files" in told) == bool(found.left)


def test_files_kept_by_name_are_all_drawn(results: Results) -> None:
    kept = ["main-q8_0", "main-q4_0"]
    assert sorted(ids(results, Selection.of(only=kept))) == sorted(kept)


def test_one_method_is_spread_over_its_sizes(results: Results) -> None:
    assert ids(results, Selection.of(methods=["main"])) == ["main-q4_0", "main-q6_k", "main-q8_0"]
    assert ids(results, Selection.of(methods=["main"]), 2) == ["main-q6_k", "main-q8_0"]


def test_without_files_there_is_nothing_to_draw(results: Results, tmp_path: Path) -> None:
    assert tier(Scope(results, Selection()), [], 6).rows == []
