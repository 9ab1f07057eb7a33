"""Compare, for a folder whose files were run in two engines."""

from __future__ import annotations

import math
import re
from pathlib import Path
from shutil import copytree
from typing import Any

import polars as pl
import pytest

from dashboard.insights.compared_pair import chosen
from dashboard.insights.comparing import differences
from dashboard.insights.runs_compared import runs, speed_insight
from dashboard.pages import compare
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.results.statistics import Estimate
from dashboard.style import formats
from dashboard.views.speed import VIEW as SPEED


@pytest.fixture(scope="module")
def both(two_engines: Path) -> Results:
    return Results.open(two_engines)


def pair(results: Results, **more: Any) -> tuple[Scope, dict[str, Any], dict[str, Any]]:
    scope = Scope(results, Selection.of(options={"a": "main-q4_0", "b": "main-q8_0"}, **more))
    found = chosen(scope)
    assert found is not None
    return (scope, *found)


def test_compare_has_a_table_of_both_engines(both: Results) -> None:
    scope, first, second = pair(both)
    found = runs(scope, first, second)
    assert [run.engine for run in found] == ["llama.cpp", "onnxruntime"]
    assert [run.engine for run in runs(*pair(both, engine="onnxruntime"))] == ["onnxruntime", "llama.cpp"]
    decode = next(line for line in found[0].lines if line.metric == "Decode")
    assert decode.values[0].startswith(f"{formats.number(first['llamacpp_decode_ms_p50'])} (")
    assert (decode.verdict, decode.leader) == ("A faster", 0)
    names = [line.metric for line in found[0].lines]
    assert names == [
        "Prefill",
        "Decode",
        "Load",
        "Peak memory",
        "KLD that llama.cpp adds",
        "KLD in llama.cpp",
    ]
    assert not {item.column for item in differences(scope, first, second)} & {
        "llamacpp_decode_ms_p50",
        "decode_ms_p50",
        "deploy_kld_mean",
    }
    sentence = speed_insight(found)
    assert sentence is not None
    assert re.fullmatch(
        r"In llama.cpp main Q4_0 decodes \S+ × as fast as main Q8_0; "
        r"as packed ONNX \(onnxruntime\) main Q4_0 decodes \S+ × as fast as main Q8_0\.",
        sentence.text,
    )
    assert sentence.text in {item.text for item in compare.insights(scope)}
    assert "packed ONNX (onnxruntime)" in str(compare.body(scope))


def test_compare_of_one_engine_is_one_table(three_methods: Path) -> None:
    results = Results.open(three_methods)
    scope, first, second = pair(results)
    assert runs(scope, first, second) == []
    assert "decode_ms_p50" in {item.column for item in differences(scope, first, second)}
    assert "As run in each engine" not in str(compare.body(scope))


def test_a_loss_over_some_windows_is_told_over_all_tokens(two_engines: Path, tmp_path: Path) -> None:
    """As on every page, it is the file's own loss and the change on the windows that were run."""
    copytree(two_engines, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "variants.parquet"
    some = {"llamacpp_baseline_kld_mean": 9.0, "llamacpp_kld_change": 0.25, "llamacpp_kld_change_se": 0.01}
    frame = pl.read_parquet(path).with_columns(pl.lit(value).alias(name) for name, value in some.items())
    frame.with_columns(
        pl.lit(0.01).alias("llamacpp_kld_change_se_clustered"), llamacpp_n_tokens=pl.col("n_tokens") // 2
    ).write_parquet(path)
    scope, first, second = pair(Results.open(tmp_path))
    by_name = {line.metric: line for line in runs(scope, first, second)[0].lines}
    assert "KLD in llama.cpp" not in by_name
    line = by_name["KLD in llama.cpp, over all tokens"]
    for row, text in zip((first, second), line.values, strict=True):
        assert row["run_kld_mean"] == row["kld_mean"] + 0.25
        se = math.hypot(row["kld_se_clustered"], 0.01)
        half = Estimate(0, se, row["n_windows"] // 2 - 1).half
        assert text == f"{formats.number(row['run_kld_mean'])} ± {formats.number(half, 2)} nats"
    exported = SPEED.data(scope)
    assert (
        dict(exported.select("variant_id", "run_kld_mean").iter_rows())["main-q4_0"] == first["run_kld_mean"]
    )
