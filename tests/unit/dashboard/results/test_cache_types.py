"""Files as run with types of the cache: which rows, in which order, and their bytes."""

from pathlib import Path

import polars as pl
import pytest
from cache_results import FIVE, FOUR, LOSSES, cache_row, make_cache_results

from dashboard.results.cache_types import (
    by_file,
    cache_types,
    loss_from_baseline,
    tokens_in_words,
    usual_type,
    with_caches,
)
from dashboard.results.exported import caches
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from evaluator.results.files import KV_CACHE

ONNX = [cache_row(FOUR, "f16", 0.2, engine="another")]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("caches")
    return Results.open(make_cache_results(folder, more=[*ONNX, cache_row("baseline-f16", "f16", 0.0)]))


def test_a_row_per_file_and_type_of_the_engine_with_most_rows(results: Results) -> None:
    rows = with_caches(Scope(results))
    found = {(row["variant_id"], row["cache_type"]): row["cache_baseline_kld_mean"] for row in rows}
    assert found == {(name, kind): loss for name, kinds in LOSSES.items() for kind, loss in kinds.items()}
    assert [row["cache_type"] for row in rows[:3]] == ["f16", "q8_0", "q4_0"]
    exact = dict(results.variants.select("variant_id", "kld_mean").iter_rows())
    assert all(row["kld_mean"] == exact[row["variant_id"]] for row in rows)


def test_filters_of_variants_apply(results: Results) -> None:
    five = Scope(results, Selection.of(quants=["Q5_K_M"]))
    assert {row["variant_id"] for row in with_caches(five)} == {FIVE}
    assert set(caches(five)["variant_id"]) == {FIVE}
    assert with_caches(Scope(results, Selection.of(quants=["Q2_K"]))) == []


def test_the_usual_type_is_f16_or_the_largest() -> None:
    rows = [cache_row("a", kind, 0.1) for kind in ("q4_0", "f16", "q8_0")]
    assert cache_types(rows) == ["f16", "q8_0", "q4_0"]
    assert (
        usual_type([*rows, cache_row("a", "f16", 0.1, cache_type="f32", bytes_per_1000_tokens=2e7)]) == "f16"
    )
    assert usual_type([row for row in rows if row["cache_type"] != "f16"]) == "q8_0"


def test_rows_of_a_file_by_type(results: Results) -> None:
    four, five = by_file(with_caches(Scope(results)))
    assert list(four) == list(five) == ["f16", "q8_0", "q4_0"]
    assert four["q8_0"]["variant_id"] == FOUR


def test_losses_over_some_windows_are_moved_to_all_tokens(tmp_path: Path) -> None:
    """Run on 6 of 24 windows, 384 of 1,536 tokens, whose own KLD is far from that of all."""
    part = {"n_tokens": 384, "kld_change": 0.01, "kld_change_se_clustered": 0.003, "ln_ppl_ratio": 0.02}
    folder = make_cache_results(
        tmp_path, {FOUR: {"f16": 0.155}}, [cache_row(FIVE, "f16", 9.0, **part), cache_row(FIVE, "q8_0", 9.0)]
    )
    whole, usual, other = with_caches(Scope(Results.open(folder)))
    assert (whole["cache_baseline_kld_mean"], whole["n_windows"]) == (0.155, 24)
    assert (other["cache_baseline_kld_mean"], other["cache_ppl"], other["n_windows"]) == (9.0, 17.0, 24)
    found = loss_from_baseline(usual)
    assert found.value == pytest.approx(usual["kld_mean"] + 0.01)
    assert found.se == pytest.approx((usual["kld_se_clustered"] ** 2 + 0.003**2) ** 0.5)
    assert found.freedom == 5
    assert usual["cache_ppl"] == pytest.approx(usual["ppl"] * 1.020201)
    assert tokens_in_words([whole, other]) == "losses as run are over all tokens"
    assert tokens_in_words([whole, usual]).endswith("and what running changed on 384 of them")


def test_the_exported_frame_has_names_and_every_column(results: Results) -> None:
    frame = caches(Scope(results))
    assert frame.columns == ["variant_id", "method", "quant", *list(KV_CACHE.schema.columns())[1:]]
    assert frame.height == 7  # two files with three types, and one in another engine
    assert set(frame["quant"]) == {"Q4_K_M", "Q5_K_M"}


def test_a_folder_without_the_frame(three_methods: Path) -> None:
    scope = Scope(Results.open(three_methods))
    assert scope.kv_cache() is None
    assert with_caches(scope) == []
    assert caches(scope).is_empty()


def test_a_damaged_frame_is_named(tmp_path: Path) -> None:
    path = make_cache_results(tmp_path) / "kv_cache.parquet"
    pl.read_parquet(path).with_columns(bytes_per_1000_tokens=pl.lit(-1.0)).write_parquet(path)
    results = Results.open(tmp_path)
    assert results.kv_cache() is None
    assert any(problem.startswith("kv_cache.parquet cannot be read") for problem in results.problems)
