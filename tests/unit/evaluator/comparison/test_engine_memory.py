"""The memory frame of a tiny comparison in both engines."""

from __future__ import annotations

import io

import gguf
import polars as pl
import pytest
from rich.console import Console
from tiny_comparisons import tiny_comparison
from tiny_models import write_tiny_llama

from evaluator.comparison.run import ComparisonRun
from evaluator.engines.kinds import llama_cpp
from evaluator.planning.plan import make_plan
from evaluator.results.files import MEMORY
from evaluator.results.reader import read_frame
from evaluator.results.store import ResultsStore
from evaluator.support.errors import EvaluatorError
from evaluator.support.progress import RunProgress

#: Two layers, keys and values, two heads of 64; the models' context is 128.
NUMBERS_PER_TOKEN, CONTEXT = 2 * 2 * 2 * 64, 128


@pytest.fixture
def comparison(tiny_path, tiny_graph, text_path, tmp_path):
    variant = write_tiny_llama(tmp_path / "Tiny-Q8_0.gguf", ggml_type=gguf.GGMLQuantizationType.Q8_0)
    asked = tiny_comparison(tiny_path, variant, text_path, tmp_path / "out", chunks=2)
    return asked.model_copy(update={"layers": False, "engines": ("llama.cpp",)})


def run(comparison):
    """Return what was said, and the frame."""
    said = io.StringIO()
    with ResultsStore(comparison.out) as store, RunProgress(Console(file=said, width=400)) as progress:
        ComparisonRun(make_plan(comparison), comparison, store, progress).run()
    return said.getvalue(), read_frame(comparison.out, MEMORY, validate=True)


def test_llama_cpp_tells_it_for_three_types_without_being_timed(comparison, monkeypatch):
    _, frame = run(comparison)
    assert set(frame["engine"]) == {"llama.cpp"}
    assert frame.group_by("variant_id").len()["len"].to_list() == [3, 3]
    assert frame["cache_type"].unique(maintain_order=True).to_list() == ["f16", "q8_0", "q4_0"]
    assert set(frame["context"]) == {CONTEXT}
    assert frame.select(pl.col("weights_bytes", "cache_bytes", "compute_bytes") > 0).to_numpy().all()
    monkeypatch.setattr(llama_cpp, "llama_answer", None)
    said, again = run(comparison)
    assert again.equals(frame)
    assert "not known" not in said


def test_a_type_that_is_asked_for_later_is_added(comparison):
    run(comparison)
    _, frame = run(comparison.model_copy(update={"kv_cache": ("q5_1",)}))
    assert set(frame["cache_type"]) == {"f16", "q8_0", "q4_0", "q5_1"}
    assert frame.height == 8


def test_an_interrupted_run_leaves_no_file_with_some_of_its_types(comparison, monkeypatch):
    memory = llama_cpp.LlamaCpp.memory

    def interrupted(engine, case, kind, measured):
        if kind == "q4_0":
            raise KeyboardInterrupt
        return memory(engine, case, kind, measured)

    with monkeypatch.context() as patched:
        patched.setattr(llama_cpp.LlamaCpp, "memory", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(comparison)
    _, frame = run(comparison)
    assert frame.group_by("variant_id").len()["len"].to_list() == [3, 3]


def test_an_older_folder_is_completed(comparison):
    _, frame = run(comparison)
    (comparison.out / MEMORY.place).unlink()
    assert run(comparison)[1].equals(frame)


def test_another_file_of_a_variant_has_its_own(comparison):
    _, frame = run(comparison)
    with ResultsStore(comparison.out) as store:
        store.manifest = None
        (row,) = (store.variants().filter(pl.col("is_baseline").not_()),)
        variant_id = row["variant_id"][0]
        store.add(row.with_columns(sha256=pl.lit("another")), store.tokens(variant_id), None)
        assert store.rows(MEMORY, variant_id).is_empty()
    assert frame.filter(variant_id=variant_id).height == 3


def test_a_type_that_fails_costs_only_its_rows(comparison, monkeypatch):
    memory = llama_cpp.LlamaCpp.memory

    def failing(engine, case, kind, measured):
        if kind == "q4_0":
            raise EvaluatorError("llama.cpp makes no context: no block fits")
        return memory(engine, case, kind, measured)

    monkeypatch.setattr(llama_cpp.LlamaCpp, "memory", failing)
    said, frame = run(comparison)
    reason = (
        "memory with a cache of q4_0 is not known in llama.cpp: llama.cpp makes no context: no block fits"
    )
    assert said.count(reason) == 2
    assert sorted(set(frame["cache_type"])) == ["f16", "q8_0"]


def test_onnxruntime_tells_it_once_the_artifact_is_timed(comparison):
    asked = comparison.model_copy(update={"engines": ("onnxruntime",)})
    assert run(asked)[1].is_empty()
    _, frame = run(asked.model_copy(update={"speed": True}))
    variants = pl.read_parquet(comparison.out / "variants.parquet")
    for variant in variants.to_dicts():
        (row,) = frame.filter(variant_id=variant["variant_id"]).to_dicts()
        assert (row["engine"], row["cache_type"], row["context"]) == ("onnxruntime", "f32", CONTEXT)
        assert row["weights_bytes"] == variant["artifact_bytes"]
        assert row["cache_bytes"] == NUMBERS_PER_TOKEN * 4 * CONTEXT
        timed = NUMBERS_PER_TOKEN * 4 * (8 + 1)  # a prompt of 8 tokens, and one more
        assert row["compute_bytes"] == variant["peak_rss_bytes"] - variant["artifact_bytes"] - timed
