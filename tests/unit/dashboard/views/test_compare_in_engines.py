"""Compare, for a folder whose files were run in two engines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dashboard.insights.compared_pair import chosen
from dashboard.insights.comparing import differences
from dashboard.insights.runs_compared import runs, speed_insight
from dashboard.pages import compare
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.style import formats


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
