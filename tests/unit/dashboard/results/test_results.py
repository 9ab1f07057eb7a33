"""A results folder opens, or says in one line why not; its summaries are right."""

import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from results_factory import BASELINE_ID, make_results

from dashboard.insights.comparison import divergence, log_ratio
from dashboard.results.folder import ResultsError
from dashboard.results.library import Library
from dashboard.results.results import Results
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.results.statistics import Estimate
from dashboard.shell.address import COMPARE, EXPLORE, OVERVIEW, SUMMARY
from dashboard.shell.callbacks import screen
from dashboard.views import registry
from evaluator.results.schema import Speed, Tokens

SLUGS = [OVERVIEW, *(view.id for view in registry()), COMPARE, EXPLORE, SUMMARY]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_results(tmp_path / "results", methods=("main",), quants=("Q4_0", "Q8_0"), windows=8)


def one_line(folder: Path) -> str:
    with pytest.raises(ResultsError) as caught:
        Results.open(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


def test_a_folder_with_characters_of_patterns_in_its_name(tmp_path: Path) -> None:
    make_results(tmp_path / "results1", methods=("main",), quants=("Q8_0",), windows=8)
    opened = Results.open(
        make_results(tmp_path / "results[1]*", methods=("main",), quants=("Q4_0",), windows=8)
    )
    assert opened.measured["quant"].to_list() == ["Q4_0"]
    assert opened.delta("main-q4_0", EVERYTHING) is not None
    assert opened.problems == []


def test_a_folder_whose_name_is_not_text(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="is not UTF-8"):
        Results.open(tmp_path / os.fsdecode(b"r\xe9"))


def test_missing_folder(tmp_path: Path) -> None:
    assert "no such folder" in one_line(tmp_path / "absent")


def test_file_instead_of_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    assert "not a folder" in one_line(path)


def test_empty_folder_names_the_command(tmp_path: Path) -> None:
    assert "python -m evaluator run" in one_line(tmp_path)


def test_a_folder_of_other_things_is_not_where_results_are_to_be_written(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("x")
    message = one_line(tmp_path)
    assert message.endswith(" --out NEW_FOLDER")
    assert message.count(str(tmp_path)) == 1


def test_foreign_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"name": "some web application"}')
    said = one_line(folder)
    assert "manifest.json: model: Field required; measure again with: " in said
    assert "http" not in said


def test_frames_that_are_no_parquet(folder: Path) -> None:
    (folder / "variants.parquet").write_bytes(b"PAR1 and nothing behind it")
    assert "plan" not in one_line(folder).lower()


def test_manifest_that_is_not_text(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b"\xff\xfe\x00")
    one_line(folder)


def test_other_schema_version(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 99}))
    assert "99" in one_line(folder)


def test_variants_missing(folder: Path) -> None:
    (folder / "variants.parquet").unlink()
    assert "missing" in one_line(folder)


def test_variants_corrupted(folder: Path) -> None:
    (folder / "variants.parquet").write_bytes(b"PAR1 this is no parquet file PAR1")
    one_line(folder)


def test_variants_of_another_program(folder: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(folder / "variants.parquet")
    one_line(folder)


def test_no_baseline(folder: Path) -> None:
    path = folder / "variants.parquet"
    pl.read_parquet(path).filter(~pl.col("is_baseline")).write_parquet(path)
    assert "baseline" in one_line(folder)


def test_older_folder_without_nullable_columns(folder: Path) -> None:
    path = folder / "variants.parquet"
    pl.read_parquet(path).drop("same_top", "decode_ms_p50", "kld_se_clustered").write_parquet(path)
    assert Results.open(folder).variants["same_top"].is_null().all()


def test_damaged_extras_leave_the_rest_usable(folder: Path) -> None:
    (folder / "layers.parquet").write_bytes(b"nonsense")
    (folder / "tokens" / "main-q4_0.parquet").write_bytes(b"nonsense")
    results = Results.open(folder)
    assert results.layers() is None
    assert results.delta("main-q4_0") is None
    assert results.delta("main-q8_0") is not None
    assert results.paired("main-q4_0", "main-q8_0") is None
    assert any("layers.parquet" in problem for problem in results.problems)


@pytest.mark.parametrize("column", Tokens.columns())
def test_token_frames_of_an_older_run(folder: Path, column: str) -> None:
    for path in (folder / "tokens").glob("*.parquet"):
        pl.read_parquet(path).drop(column).write_parquet(path)
    assert all(titles(folder))
    if Tokens.columns()[column].nullable:
        assert Results.open(folder).windows("main-q4_0") is not None
    else:
        results = Results.open(folder)
        assert results.windows("main-q4_0") is None
        assert any(f"missing columns: {column}" in problem for problem in results.problems)


@pytest.mark.parametrize("column", Speed.columns())
def test_repetitions_of_an_older_run(folder: Path, column: str) -> None:
    path = folder / "speed.parquet"
    pl.read_parquet(path).drop(column).write_parquet(path)
    assert all(titles(folder))
    speed = Results.open(folder).speed("onnxruntime")
    # The engine was onnxruntime, and rounds had no numbers.
    assert (speed is None) == (column not in {"engine", "round"})


def titles(folder: Path) -> list[str]:
    """Show every page over a part of the tokens and return their titles; a fault fails."""
    library = Library([folder])
    shown = [screen(library, f"/{slug}", "?domain=code&bin=1", {}) for slug in SLUGS]
    assert [str(page["body"]) for page in shown if page["eyebrow"] == "Fault"] == []
    return [str(page["title"]) for page in shown]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            pl.lit(None, pl.Float64).alias("bits_per_weight"),
            "column bits_per_weight: 3 rows with no value",
        ),
        (pl.lit(float("nan")).alias("kld_mean"), "column kld_mean: 3 rows with a value that is not a number"),
        (pl.lit(-1.0).alias("ppl_se"), "column ppl_se: 3 rows with a value below the minimum"),
        (pl.lit("same").alias("variant_id"), "3 rows with a duplicate key"),
    ],
)
def test_values_that_cannot_be_are_told_in_words(folder: Path, change: pl.Expr, says: str) -> None:
    path = folder / "variants.parquet"
    pl.read_parquet(path).with_columns(change).write_parquet(path)
    assert says in one_line(folder)
    pl.read_parquet(path).drop("device").write_parquet(path)
    assert "missing columns: device" in one_line(folder)


def test_absent_extras(folder: Path) -> None:
    shutil.rmtree(folder / "tokens")
    (folder / "layers.parquet").unlink()
    (folder / "speed.parquet").unlink()
    results = Results.open(folder)
    assert (results.layers(), results.speed("onnxruntime"), results.windows("main-q4_0")) == (
        None,
        None,
        None,
    )
    assert results.problems == []


def test_variant_id_cannot_leave_the_folder(folder: Path) -> None:
    assert Results.open(folder).tokens("../variants") is None


def test_select_orders_and_leaves_the_baseline_out(folder: Path) -> None:
    results = Results.open(folder)
    assert results.select(Selection())["variant_id"].to_list() == ["main-q4_0", "main-q8_0"]
    assert results.select(Selection.of(methods=["none"])).is_empty()


def test_paired_difference_equals_the_variants_column(folder: Path) -> None:
    results = Results.open(folder)
    paired = results.paired("main-q4_0", BASELINE_ID)
    row = results.measured.filter(pl.col("variant_id") == "main-q4_0").row(0, named=True)
    assert paired is not None
    assert paired.value == pytest.approx(row["ln_ppl_ratio"], rel=1e-5)
    assert 0.3 * row["ln_ppl_ratio_se"] < paired.se < 3 * row["ln_ppl_ratio_se"]


def test_confidence_bins_count_every_token_once(folder: Path) -> None:
    results = Results.open(folder)
    windows, tokens = results.windows(BASELINE_ID), results.tokens(BASELINE_ID)
    assert windows is not None
    assert tokens is not None
    probabilities = tokens.select("top_prob").collect()["top_prob"].to_numpy()
    counted = [windows[f"bin{index}"].sum() for index in range(5)]
    expected, _ = np.histogram(probabilities, bins=[0, 0.25, 0.5, 0.75, 0.95, 1.01])
    assert counted == expected.tolist()


def test_delta_density_is_a_density(folder: Path) -> None:
    summary = Results.open(folder).delta("main-q4_0")
    assert summary is not None
    assert summary.linear.x.size == summary.linear.density.size == 256
    area = float(np.trapezoid(summary.linear.density, summary.linear.x))
    assert area == pytest.approx(1 - summary.beyond, abs=0.03)
    assert summary.percentiles[1].value < summary.percentiles[50].value < summary.percentiles[99].value
    assert math.isclose(summary.beyond, 0.01, abs_tol=0.005)


def test_clustered_errors_know_their_windows(tmp_path: Path) -> None:
    """24 windows in four texts: six in one, and as many degrees of freedom less one."""
    results = Results.open(make_results(tmp_path, methods=("main",), quants=("Q4_0",)))
    assert results.variants["n_windows"].to_list() == [24, 24]
    (row,) = results.select(EVERYTHING).to_dicts()
    assert divergence(row).freedom == 23
    assert log_ratio(row).freedom == math.inf, "its error counts tokens as independent"
    part = Selection.of(domains=["code"])
    (row,) = results.select(part).to_dicts()
    assert row["n_windows"] == 6
    assert log_ratio(row).freedom == 5
    assert results.paired("main-q4_0", results.baseline["variant_id"], "nll", part) == Estimate(
        pytest.approx(row["ln_ppl_ratio"]), pytest.approx(row["ln_ppl_ratio_se_clustered"]), 5
    )
    assert divergence(row).half == pytest.approx(2.5706 * row["kld_se_clustered"], rel=1e-4)  # t of 5 degrees
