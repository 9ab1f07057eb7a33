"""The engine whose times are shown: the default, the choice in an address, and its columns."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dashboard.results import engines
from dashboard.results.known_values import known
from dashboard.results.library import Library
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.shell.callbacks import screen
from dashboard.views import registry
from evaluator.engines import ENGINES

IN_LLAMA = {
    "run_decode_ms_p10": "llamacpp_decode_ms_p10",
    "run_decode_ms_p50": "llamacpp_decode_ms_p50",
    "run_decode_ms_p90": "llamacpp_decode_ms_p90",
    "run_prefill_tps": "llamacpp_prefill_tps",
    "run_load_s": "llamacpp_load_s",
    "run_peak_rss_bytes": "llamacpp_peak_rss_bytes",
    "run_kld_added": "llamacpp_kld_mean",
    "run_kld_mean": "llamacpp_baseline_kld_mean",
    "run_kld_change": "llamacpp_kld_change",
    "run_n_tokens": "llamacpp_n_tokens",
}
IN_ONNX = {
    **{name: name.removeprefix("run_") for name in IN_LLAMA},
    "run_kld_added": "deploy_kld_mean",
    "run_kld_mean": None,
    "run_kld_change": None,
    "run_n_tokens": None,
}
ONNX = Selection.of(engine="onnxruntime")


@pytest.fixture(scope="module")
def both(two_engines: Path) -> Results:
    return Results.open(two_engines)


def text_of(parts: Any) -> str:
    return str([getattr(part, "children", part) for part in parts])


def test_every_engine_has_columns() -> None:
    assert set(engines.columns_by_engine()) == {name for name, _ in ENGINES}


@pytest.mark.parametrize(("selection", "columns"), [(EVERYTHING, IN_LLAMA), (ONNX, IN_ONNX)])
@pytest.mark.parametrize("query", ["", "bin=1&domain=code"])
def test_columns_are_those_of_the_chosen_engine(
    both: Results, selection: Selection, columns: dict[str, str | None], query: str
) -> None:
    part = Selection.from_query(f"{query}&{selection.to_query()}")
    for frame in (both.select(part), both.baselines(part)):
        assert set(engines.run_columns()) == {*columns, "run_engine"}
        assert set(frame["run_engine"]) == {both.engine(part)}
        for name, source in columns.items():
            values = frame[source].to_list() if source else [None] * frame.height
            assert frame[name].to_list() == values
            assert "kld" in name or "n_tokens" in name or None not in values
    assert (both.select(part)["run_kld_added"].null_count() > 0) == bool(query), "it is over all tokens only"


def test_loss_over_some_windows_is_moved_to_all_tokens(two_engines: Path) -> None:
    """What the engine changes on its windows is added to the loss over all tokens."""
    frame = pl.read_parquet(two_engines / "variants.parquet")
    some = engines.as_run(
        frame.with_columns(
            llamacpp_n_tokens=pl.col("n_tokens") // 2,
            llamacpp_baseline_kld_mean=9.0,
            llamacpp_kld_change=0.25,
        ),
        "llama.cpp",
    )
    assert some["run_kld_mean"].to_list() == (frame["kld_mean"] + 0.25).to_list()
    every = engines.as_run(
        frame.with_columns(llamacpp_n_tokens="n_tokens", llamacpp_kld_change=0.25), "llama.cpp"
    )
    assert every["run_kld_mean"].to_list() == frame["llamacpp_baseline_kld_mean"].to_list()


def test_default_is_the_engine_that_runs_the_downloaded_file(both: Results, three_methods: Path) -> None:
    assert both.engines == ("llama.cpp", "onnxruntime")
    assert [both.engine(part) for part in (EVERYTHING, ONNX)] == ["llama.cpp", "onnxruntime"]
    one = Results.open(three_methods)
    assert one.engines == ("onnxruntime",)
    assert one.engine(Selection.of(engine="llama.cpp")) == "onnxruntime"
    assert one.measured["run_decode_ms_p50"].to_list() == one.measured["decode_ms_p50"].to_list()


def test_default_is_an_engine_that_timed_the_model_in_view(two_engines: Path, tmp_path: Path) -> None:
    """Of two models, each timed in one engine, that with more files decides, and a filter the other way."""
    folder = shutil.copytree(two_engines, tmp_path / "models")
    path = folder / "variants.parquet"
    small = pl.col("method") == "main"
    frame = pl.read_parquet(path).with_columns(model=pl.when(small).then(pl.lit("Small")).otherwise("model"))
    in_llama = [name for name in frame.columns if name.startswith("llamacpp_")]
    in_onnx = [name for name in IN_ONNX.values() if name]
    frame.with_columns(
        *(pl.when(small).then(name).alias(name) for name in in_llama),
        *(pl.when(~small).then(name).alias(name) for name in in_onnx),
    ).write_parquet(path)
    results = Results.open(folder)
    of_small = Selection.of(models=["Small"])
    assert results.engine(EVERYTHING) == "onnxruntime"
    assert results.engine(of_small) == "llama.cpp"
    assert results.select(of_small)["run_decode_ms_p50"].null_count() == 0
    assert known(replace(of_small, engine="llama.cpp"), results) == of_small
    assert known(Selection.of(engine="llama.cpp"), results).engine == "llama.cpp"
    narrow = Scope(results, of_small)
    assert results.engine(narrow.all_variants) == narrow.engine
    both = Selection.of(options={"engines": "both"})
    view = next(view for view in registry() if view.id == "speed")
    assert "open: " not in view.captioned(Scope(results, both)), "no file was timed in both"


def test_folder_without_times(one_method: Path) -> None:
    results = Results.open(one_method)
    assert results.engines == ("onnxruntime",)
    assert results.measured["run_decode_ms_p50"].is_null().all()


def test_repetitions_are_those_of_one_engine(both: Results, two_engines: Path) -> None:
    timings = pl.read_parquet(two_engines / "speed.parquet")
    for engine in both.engines:
        speed = both.speed(engine)
        assert speed is not None
        assert speed.height == timings.filter(pl.col("engine") == engine).height


def test_address_keeps_only_an_engine_that_is_not_the_default(both: Results, three_methods: Path) -> None:
    assert Selection.from_query(ONNX.to_query()) == ONNX
    assert known(ONNX, both) == ONNX
    for other in ("llama.cpp", "vllm"):
        assert known(Selection.of(engine=other), both) == EVERYTHING
    assert known(ONNX, Results.open(three_methods)) == EVERYTHING


def test_panel_offers_engines_where_two_were_measured(two_engines: Path, three_methods: Path) -> None:
    library = Library([two_engines, three_methods])
    shown = screen(library, "/size", "", {})
    assert [option["label"] for option in shown["options-engine"]] == [
        "llama.cpp",
        "packed ONNX (onnxruntime)",
    ]
    assert (shown["hidden-engine"], shown["value-engine"], shown["chips"]) == (False, "llama.cpp", [])
    switched = screen(library, "/size", "?engine=onnxruntime", shown["address"])
    assert (switched["value-engine"], switched["address"]["query"]) == ("onnxruntime", "engine=onnxruntime")
    assert "engine: packed ONNX (onnxruntime)" in text_of(switched["chips"][0].children)
    assert screen(library, "/", f"?results={library.names[1]}", {})["hidden-engine"]
