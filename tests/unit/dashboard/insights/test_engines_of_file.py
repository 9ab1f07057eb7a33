"""The engines side by side for one file, against the columns of the variants frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from engine_rows import add_memory
from results_factory import make_results

from dashboard.insights.answers import Answers
from dashboard.insights.engines_of_file import FileInEngines, file_in_engines
from dashboard.pages import overview
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.style import formats

TITLE = "The same file in each engine"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_results(
        tmp_path_factory.mktemp("both"), with_layers=False, windows=12, engines=("onnxruntime", "llama.cpp")
    )
    add_memory(made, pl.read_parquet(made / "variants.parquet").to_dicts())
    return made


@pytest.fixture(scope="module")
def both(folder: Path) -> Results:
    return Results.open(folder)


def found(results: Results, **filters: Any) -> FileInEngines:
    scope = Scope(results, Selection.of(**filters))
    table = file_in_engines(scope, Answers.of(scope))
    assert table is not None
    return table


def test_the_recommended_file_in_both_engines(both: Results) -> None:
    table = found(both)
    assert table.row == Answers.of(Scope(both)).chosen
    row, (llama, onnx) = table.row, table.runs
    assert (llama.engine, onnx.engine) == ("llama.cpp", "onnxruntime")
    assert llama.loss.text == formats.number(row["llamacpp_baseline_kld_mean"], 2)
    assert onnx.loss.text == f"about {formats.number(row['kld_mean'] + row['deploy_kld_mean'], 2)}"
    assert llama.added.text == formats.number(row["llamacpp_kld_mean"], 2)
    assert onnx.added.text == formats.number(row["deploy_kld_mean"], 2)
    assert llama.decode.text == formats.number(1000 / row["llamacpp_decode_ms_p50"])
    ends = [1000 / row[f"decode_ms_p{end}"] for end in (90, 10)]
    assert onnx.decode.below == f"{formats.number(ends[0])}–{formats.number(ends[1])}"
    assert onnx.prefill.text == formats.number(row["prefill_tps"])
    assert " decodes " in table.told or " decode " in table.told
    assert onnx.loss.below == "own + added"


@pytest.mark.parametrize(("options", "tokens"), [({}, 4096), ({"context": "16k"}, 16384)])
def test_memory_is_that_of_the_context(both: Results, options: dict[str, str], tokens: int) -> None:
    table = found(both, options=options)
    llama, onnx = table.runs
    whole = table.row["size_bytes"] + 2000 * tokens + 5_000_000 + 100 * tokens
    assert table.context == tokens
    assert (llama.memory.text, llama.memory.below) == (formats.size(whole), "f16 cache")
    assert onnx.memory.text == "not measured"
    assert f"Memory at {tokens:,} tokens" in str(overview.beside(Scope(both, Selection.of(options=options))))


def test_the_only_pick_is_shown_instead(both: Results) -> None:
    assert found(both, picked=["main-q4_0"]).row["variant_id"] == "main-q4_0"
    several = found(both, picked=["main-q4_0", "main-q2_k"])
    assert several.row["variant_id"] == found(both).row["variant_id"]


def test_the_chosen_engine_comes_first(both: Results) -> None:
    assert [run.engine for run in found(both, engine="onnxruntime").runs] == ["onnxruntime", "llama.cpp"]


def test_what_was_not_measured_says_so(folder: Path, tmp_path: Path) -> None:
    for name in ("manifest.json", "memory.parquet"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    frame = pl.read_parquet(folder / "variants.parquet")
    absent = pl.col("variant_id") == "main-q4_0"
    emptied = [
        pl.when(absent).then(None).otherwise(pl.col(name)).alias(name)
        for name in frame.columns
        if name.startswith("llamacpp_")
    ]
    frame.with_columns(emptied).write_parquet(tmp_path / "variants.parquet")
    llama, onnx = found(Results.open(tmp_path), picked=["main-q4_0"]).runs
    cells = (llama.loss, llama.added, llama.decode, llama.prefill)
    assert {cell.text for cell in cells} == {"not measured"}
    assert llama.memory.text != "not measured"
    assert onnx.decode.text != "not measured"


def test_losses_over_some_tokens_are_not_known(both: Results) -> None:
    for run in found(both, bins=[1]).runs:
        assert (run.loss.text, run.added.text) == ("known over all tokens only",) * 2


def test_a_folder_of_one_engine_has_no_such_card(three_methods: Path, both: Results) -> None:
    one = Scope(Results.open(three_methods))
    assert file_in_engines(one, Answers.of(one)) is None
    assert TITLE not in str(overview.beside(one))
    assert TITLE in str(overview.beside(Scope(both)))
