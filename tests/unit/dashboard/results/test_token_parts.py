"""Statistics of a part of the tokens: what the metric families say of those tokens alone."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from many_models import make_models
from results_factory import BASELINE_ID, make_results

from dashboard.results.results import Results
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.results.statistics import Estimate

VARIANT = "main-q4_0"
EDGES = (0.25, 0.5, 0.75, 0.95)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("parts")
    return make_results(target, methods=("main", "unsloth"), quants=("Q4_0", "Q8_0"), windows=16)


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    return Results.open(folder)


def joined(folder: Path, variant: str = VARIANT) -> pl.DataFrame:
    """The variant's tokens with the baseline's columns beside them, and the baseline's bin."""
    ours = pl.read_parquet(folder / "tokens" / f"{variant}.parquet")
    base = pl.read_parquet(folder / "tokens" / f"{BASELINE_ID}.parquet")
    bins = pl.Series("bin", np.digitize(base["top_prob"].to_numpy(), EDGES))
    return ours.with_columns(pl.col("domain").cast(pl.String), base["nll"].alias("base"), bins)


def row(results: Results, selection: Selection, variant: str = VARIANT) -> dict[str, float]:
    return results.select(selection).filter(pl.col("variant_id") == variant).row(0, named=True)


def test_no_filter_leaves_the_stored_columns(results: Results) -> None:
    stored = results.measured.filter(pl.col("variant_id") == VARIANT).row(0, named=True)
    assert row(results, EVERYTHING) == stored


def test_all_domains_give_the_stored_numbers(results: Results) -> None:
    stored = row(results, EVERYTHING)
    computed = row(results, Selection.of(domains=results.domains))
    for name, value in stored.items():
        # The factory's clustered error has another normalization, and text has no rounding.
        if isinstance(value, float) and name != "kld_se_clustered" and not name.endswith("_macro"):
            assert computed[name] == pytest.approx(value, rel=1e-5, abs=1e-9), name


@pytest.mark.parametrize(
    "selection",
    [
        Selection.of(domains=["code"]),
        Selection.of(bins=[4]),
        Selection.of(domains=["code", "dialogue"], bins=[0, 3]),
    ],
    ids=Selection.to_query,
)
def test_a_part_is_what_its_tokens_say(results: Results, folder: Path, selection: Selection) -> None:
    tokens = joined(folder)
    if selection.domains:
        tokens = tokens.filter(pl.col("domain").is_in(list(selection.domains)))
    if selection.bins:
        tokens = tokens.filter(pl.col("bin").is_in(list(selection.bins)))
    nll, base, kld = (tokens[name].cast(pl.Float64).to_numpy() for name in ("nll", "base", "kld"))
    found, n = row(results, selection), tokens.height
    assert found["n_tokens"] == n
    assert found["ppl"] == pytest.approx(np.exp(nll.mean()))
    assert found["ln_ppl_ratio"] == pytest.approx((nll - base).mean())
    assert found["ln_ppl_ratio_se"] == pytest.approx((nll - base).std() / np.sqrt(n - 1))
    assert found["kld_mean"] == pytest.approx(kld.mean())
    assert found["kld_p990"] == pytest.approx(np.quantile(kld, 0.99))
    assert found["same_top"] == pytest.approx(tokens["same_top"].mean())
    sums = (
        tokens.group_by("window").agg((pl.col("kld").cast(pl.Float64) - kld.mean()).sum())["kld"].to_numpy()
    )
    clustered = np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / n
    assert found["kld_se_clustered"] == pytest.approx(clustered)


def test_windows_and_bins_add_up_to_the_tokens(results: Results, folder: Path) -> None:
    tokens = joined(folder)
    for selection in (EVERYTHING, Selection.of(domains=["code"], bins=[1, 2])):
        windows, bins = results.windows(VARIANT, selection), results.bins(VARIANT, selection)
        assert windows is not None
        assert bins is not None
        kept = tokens
        if selection.filters_tokens:
            kept = tokens.filter(pl.col("domain") == "code", pl.col("bin").is_in([1, 2]))
        assert windows["n"].sum() == bins["n"].sum() == kept.height
        assert windows["kld"].sum() == pytest.approx(kept["kld"].cast(pl.Float64).sum())
        own = np.digitize(kept["top_prob"].to_numpy(), EDGES)
        parts = results.parts(VARIANT)
        assert parts is not None
        assert parts.own_bins(selection.token_filter).tolist() == np.bincount(own, minlength=5).tolist()
        for index in range(5):
            assert windows[f"bin{index}"].sum() == bins[f"bin{index}"].sum() == (own == index).sum()
            here = kept.filter(pl.col("bin") == index)
            mean = bins.filter(pl.col("bin") == index)["kld"][0]
            assert (mean is None) == here.is_empty()
            if mean is not None:
                assert mean == pytest.approx(here["kld"].cast(pl.Float64).mean())


def test_contrasts_are_weighted_paired_means(results: Results, folder: Path) -> None:
    first, second = (
        joined(folder, name)["nll"].cast(pl.Float64).mean() for name in (VARIANT, "unsloth-q4_0")
    )
    paired = results.paired(VARIANT, "unsloth-q4_0")
    assert paired is not None
    assert paired.value == pytest.approx(first - second)
    half = results.contrast({VARIANT: 0.5, "main-q8_0": 0.5, "unsloth-q4_0": -1.0})
    alone = [results.paired(name, "unsloth-q4_0") for name in (VARIANT, "main-q8_0")]
    assert half is not None
    assert half.value == pytest.approx(sum(item.value for item in alone if item) / 2)
    assert results.contrast({VARIANT: 1.0, "nobody": -1.0}) is None
    assert results.contrast({VARIANT: 1.0, BASELINE_ID: -1.0}, "kld") is None, "a baseline has no divergence"


def test_the_baseline_is_computed_over_the_same_part(results: Results, folder: Path) -> None:
    code = joined(folder).filter(pl.col("domain") == "code")
    baseline = results.baseline_of(row(results, EVERYTHING), Selection.of(domains=["code"]))
    assert baseline["ppl"] == pytest.approx(np.exp(code["base"].cast(pl.Float64).mean()))
    assert baseline["kld_mean"] is None


def test_without_token_frames_a_part_has_no_numbers(tmp_path: Path) -> None:
    folder = make_results(tmp_path, methods=("main",), quants=("Q4_0", "Q8_0"), windows=4)
    (folder / "tokens" / "main-q8_0.parquet").unlink()
    results = Results.open(folder)
    found = row(results, Selection.of(domains=["code"]), "main-q8_0")
    assert (found["kld_mean"], found["ppl"], found["n_tokens"]) == (None, None, 0)
    assert found["size_bytes"] > 0
    assert row(results, Selection.of(domains=["code"]))["kld_mean"] is not None


def test_other_tokens_than_the_baselines_are_a_problem(tmp_path: Path) -> None:
    folder = make_results(tmp_path, methods=("main",), quants=("Q4_0", "Q8_0"), windows=4)
    path = folder / "tokens" / f"{VARIANT}.parquet"
    pl.read_parquet(path).reverse().write_parquet(path)
    results = Results.open(folder)
    assert results.paired(VARIANT, "main-q8_0") is None
    assert any("other tokens than its baseline" in problem for problem in results.problems)


def test_values_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    folder = make_results(tmp_path, methods=("main",), quants=("Q4_0",), windows=4)
    path = folder / "tokens" / f"{VARIANT}.parquet"
    frame = pl.read_parquet(path)
    broken = frame.with_columns(pl.when(pl.int_range(pl.len()) < 3).then(None).otherwise("nll").alias("nll"))
    broken.write_parquet(path)
    results = Results.open(folder)
    assert row(results, Selection.of(bins=range(5)))["n_tokens"] == frame.height - 3


def test_every_variant_is_compared_with_its_own_models_baseline(tmp_path: Path) -> None:
    options = {"methods": ("main",), "quants": ("Q4_0", "Q8_0"), "windows": 8}
    folder = make_models(tmp_path, ("first", "second"), **options)
    results = Results.open(folder)
    part = Selection.of(domains=results.domains)
    for model, quant in itertools.product(("first", "second"), ("q4_0", "q8_0")):
        name = f"{model}-main-{quant}"
        stored, found = row(results, EVERYTHING, name), row(results, part, name)
        assert stored["baseline_id"] == f"{model}-{BASELINE_ID}"
        assert found["ln_ppl_ratio"] == pytest.approx(stored["ln_ppl_ratio"], rel=1e-5)
        paired = results.paired(name, stored["baseline_id"])
        assert isinstance(paired, Estimate)
        assert paired.value == pytest.approx(stored["ln_ppl_ratio"], rel=1e-5)
    assert results.paired("first-main-q4_0", "second-main-q4_0") is None, "other models, other tokens"
    assert results.baselines(Selection.of(models=["second"]))["model"].to_list() == ["second"]
