"""Timing of a whole tiny comparison, and the arithmetic behind its columns."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import gguf
import numpy as np
import polars as pl
import pytest
from rich.console import Console
from tiny_comparisons import tiny_comparison
from tiny_models import write_tiny_llama

from evaluator.comparison import half_precision
from evaluator.comparison.device_check import Verdict
from evaluator.comparison.engine_run import ROUNDS, EngineRun
from evaluator.comparison.run import ComparisonRun
from evaluator.comparison.timings import timing_frame
from evaluator.engines.kinds import onnxruntime_packed
from evaluator.export.exact.graph import Graph
from evaluator.export.packing.artifact import MODEL_FILE, most_bytes, write_decoder
from evaluator.models.gguf.reader import open_gguf
from evaluator.planning.plan import make_plan
from evaluator.results.schema import Speed, with_schema
from evaluator.results.store import ResultsStore
from evaluator.runtime.device import Device, choose_device
from evaluator.runtime.timing import Exercise, Timing, time_artifact
from evaluator.support.progress import RunProgress
from evaluator.support.progress_lines import ProgressLines

CPU = choose_device("cpu", 1)


@pytest.fixture(scope="module")
def variant(tmp_path_factory):
    path = tmp_path_factory.mktemp("speed") / "Tiny-Q4_1.gguf"
    return open_gguf(write_tiny_llama(path, ggml_type=gguf.GGMLQuantizationType.Q4_1))


@pytest.fixture
def gpu(monkeypatch):
    """A device that is called a GPU, computes on the CPU provider, and is known to be sound."""
    monkeypatch.setattr(half_precision, "judge", lambda *_, **__: Verdict(None, None))
    return Device("cuda", "CPUExecutionProvider", 1)


@pytest.fixture
def comparison(tiny_path, variant, text_path, tmp_path):
    return tiny_comparison(tiny_path, variant.path, text_path, tmp_path / "out", chunks=3)


def timed(comparison, graph=None, make=make_plan, memory=1 << 34, shown=RunProgress):
    """Run the comparison, then time it; returns what was said and the store."""
    said = io.StringIO()
    with ResultsStore(comparison.out) as store, shown(Console(file=said, width=200)) as progress:
        plan = make(comparison)
        run = ComparisonRun(plan, comparison, store, progress)
        run.run()
        engines = EngineRun(plan, store, progress, comparison.model_copy(update={"speed": True}), run._states)
        engines.run(lambda: graph or run._graph, memory, {})
    return said.getvalue(), store


def test_an_artifact_that_does_not_fit_into_memory_is_not_timed(comparison, variant):
    said, store = timed(comparison, memory=int(most_bytes(variant, exact=False)) + 1)
    assert "not timed in onnxruntime: its artifact takes up to 0.0 GB, and 0.0 GB may be used" in said
    rows = {row["is_baseline"]: row["decode_ms_p50"] for row in store.variants().to_dicts()}
    assert rows[True] is None
    assert rows[False] is not None


def test_windows_longer_than_the_context_cost_the_gap_and_not_the_times(comparison, tiny_graph, tmp_path):
    """The artifact has places for the 128 positions that the file names."""
    text = tmp_path / "long.txt"
    text.write_text("".join(f"{number} grey stones. " for number in range(200)))
    said, store = timed(comparison.model_copy(update={"texts": (str(text),), "context": 192, "chunks": 1}))
    assert "no engine gap" in said
    (row,) = store.variants().filter(is_baseline=False).to_dicts()
    assert row["deploy_kld_mean"] is None
    assert min(row["decode_ms_p50"], row["prefill_tps"], row["load_s"], row["peak_rss_bytes"]) > 0
    assert store.untimed() == set()


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_variant_that_is_not_finite_is_timed_without_a_gap(comparison, tiny_graph, tmp_path):
    bad = write_tiny_llama(tmp_path / "Tiny-Q5_0.gguf", noise=float("nan"))
    source = comparison.variants[0].model_copy(update={"source": str(bad)})
    said, store = timed(comparison.model_copy(update={"variants": (source,)}))
    assert "no engine gap in onnxruntime: 14 of 14 tokens have logits that are not finite" in said
    (row,) = store.variants().filter(is_baseline=False).to_dicts()
    assert (row["deploy_kld_mean"], row["n_nonfinite"], row["n_tokens"]) == (None, 21, 21)
    assert min(row["decode_ms_p50"], row["prefill_tps"], row["load_s"], row["peak_rss_bytes"]) > 0
    assert store.tokens(row["variant_id"])["same_top"].null_count() == 21


def test_rounds_are_counted_to_the_end(comparison, tiny_graph):
    said, _ = timed(comparison, shown=ProgressLines)
    told = [json.loads(line) for line in said.splitlines()]
    rounds = [event for event in told if event["event"] == "rounds"]
    timing, comparing = (
        [event for event in rounds if event["name"] == name] for name in ("timing", "comparing")
    )
    assert [event["done"] for event in timing] == list(range(1, 2 * ROUNDS + 1))
    assert None not in {event["left"] for event in timing}
    assert timing[-1]["left"] == 0
    assert comparing[-1]["done"] == comparing[-1]["total"] > 0


def test_a_comparison_is_timed_once_and_interrupted_rounds_count(comparison, tiny_graph):
    said, store = timed(comparison)
    rows = {row["is_baseline"]: row for row in store.variants().to_dicts()}
    for row in rows.values():
        assert 0 < row["decode_ms_p10"] <= row["decode_ms_p50"] <= row["decode_ms_p90"]
        assert min(row["load_s"], row["prefill_tps"]) > 0
        assert row["peak_rss_bytes"] > row["artifact_bytes"] > 0
    assert rows[False]["artifact_bytes"] < rows[True]["artifact_bytes"] / 4
    assert 0 < rows[False]["deploy_kld_mean"] < 0.1
    assert rows[True]["deploy_kld_mean"] is None
    frame = with_schema(Speed, pl.read_parquet(comparison.out / "speed.parquet"))
    counts = frame.group_by("phase").len().sort("phase")["len"].to_list()
    assert counts == [2 * ROUNDS, 2 * ROUNDS, 2 * ROUNDS * 8]
    contexts = frame.filter(pl.col("phase") == "decode")["context"]
    assert (contexts.min(), contexts.max()) == (8, 15)
    in_rounds = frame.group_by("variant_id", "round").len()
    assert in_rounds["round"].sort().to_list() == [number for number in range(ROUNDS) for _ in rows]
    assert in_rounds["len"].unique().to_list() == [1 + 1 + 8]
    assert list(comparison.out.rglob("*.partial")) == []
    assert "ms per token" in said

    again, store = timed(comparison)
    assert {row["is_baseline"]: row for row in store.variants().to_dicts()} == rows
    assert "ms per token" not in again
    assert pl.read_parquet(comparison.out / "speed.parquet").height == frame.height

    name = rows[False]["variant_id"]
    row = store.variants().filter(pl.col("variant_id") == name)
    other = row.with_columns(pl.lit(None, pl.Float64).alias("decode_ms_p50"), sha256=pl.lit("another"))
    store.add(other, store.tokens(name), None)
    assert store.timings(name).height == 0  # another file's timings are not this one's
    assert store.untimed() == {name}


def test_on_a_gpu_artifacts_of_halves_are_timed_and_its_memory_stays_unknown(
    comparison, tiny_graph, gpu, monkeypatch
):
    plans = []

    def on_gpu(request):
        plans.append(replace(make_plan(request), device=gpu))
        return plans[-1]

    written = []

    def watched(*arguments, **options):
        written.append((options["exact"], options["half"]))
        return write_decoder(*arguments, **options)

    monkeypatch.setattr(onnxruntime_packed, "write_decoder", watched)
    said, store = timed(comparison, make=on_gpu)
    assert written == [(True, True), (False, True)]
    assert "a GPU's peak memory is not measured" in said
    for row in store.variants().to_dicts():
        assert row["device"] == "cuda"
        assert min(row["decode_ms_p50"], row["load_s"], row["prefill_tps"], row["artifact_bytes"]) > 0
        assert row["peak_rss_bytes"] is None
        assert row["deploy_kld_mean"] is None if row["is_baseline"] else 0 < row["deploy_kld_mean"] < 0.1


def test_a_gpu_too_small_for_float32_weights_times_all_the_same(comparison, tiny_graph, gpu, monkeypatch):
    def too_large(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(onnxruntime_packed, "engine_gap", too_large)
    said, store = timed(comparison, make=lambda request: replace(make_plan(request), device=gpu))
    assert "no engine gap in onnxruntime: RuntimeError out of memory" in said
    assert store.untimed() == set()
    assert store.variants()["deploy_kld_mean"].null_count() == 2


def test_rounds_of_an_interrupted_run_are_not_timed_again(comparison, variant, tiny_graph, tmp_path):
    plan = make_plan(comparison)
    write_decoder(variant, tiny_graph, tmp_path / "artifact")
    timings = time_artifact(tmp_path / "artifact" / MODEL_FILE, CPU, Exercise.of(plan.windows[0].ids))
    with ResultsStore(comparison.out) as store, RunProgress(Console(file=io.StringIO())) as progress:
        ComparisonRun(plan, comparison, store, progress).run()
    store.add_timings(plan.variants[0].variant_id, timing_frame(timings))
    first = store.timings(plan.variants[0].variant_id)
    timed(comparison)
    rows = store.timings(plan.variants[0].variant_id)
    assert rows.filter(pl.col("phase") == "load").height == ROUNDS
    assert rows.join(first, on=["phase", "repetition", "seconds"], how="semi").height == first.height
    # Round 0 is the interrupted run's; the file was not in the first of the new ones.
    assert rows["round"].unique().sort().to_list() == [0, 2, 3]
    assert store.timings(plan.baseline.variant_id)["round"].unique().sort().to_list() == [1, 2, 3]


def test_more_rounds_are_added_to_those_of_a_folder(comparison, tiny_graph):
    _, store = timed(comparison.model_copy(update={"rounds": 2}))
    name = store.variants().filter(~pl.col("is_baseline"))["variant_id"].item()
    first = store.timings(name)
    assert first["round"].unique().sort().to_list() == [0, 1]
    more = comparison.model_copy(update={"rounds": 3})
    said, store = timed(more)
    assert "times of files added now" not in said, "all files are timed again"
    rows = store.timings(name)
    assert rows["round"].unique().sort().to_list() == [0, 1, 4]
    assert rows.join(first, on=["phase", "repetition", "seconds"], how="semi").height == first.height
    decoded = 1000 * rows.filter(pl.col("phase") == "decode", pl.col("context") >= 8)["seconds"]
    row = store.variants().filter(variant_id=name)
    assert row["decode_ms_p50"].item() == pytest.approx(decoded.median())
    again, store = timed(more)
    assert "ms per token" not in again
    assert store.timings(name).equals(rows)


def test_rounds_that_an_interrupted_run_timed_with_other_threads_are_timed_again(comparison, tiny_graph):
    plan = make_plan(comparison)
    slow = timing_frame(
        [Timing("load", 0, 1e6, 0), Timing("prefill", 8, 1e6, 0), Timing("decode", 1, 1e6, 8)]
    )
    with ResultsStore(comparison.out) as store, RunProgress(Console(file=io.StringIO())) as progress:
        ComparisonRun(plan, comparison, store, progress).run()
        settings = {"provider": "CPUExecutionProvider", "threads": 7}
        store.update_manifest(engines={"onnxruntime": settings})
        store.add_timings(plan.variants[0].variant_id, slow)
        store.add_timings(plan.variants[0].variant_id, slow, "another")
    said, store = timed(comparison)
    assert "timed anew, as their rounds had threads 7: m Q4_1, onnxruntime\n" in said
    rows = pl.read_parquet(comparison.out / "speed.parquet")
    assert 1e6 not in rows.filter(engine="onnxruntime")["seconds"].to_list()
    assert rows.filter(engine="another").height == slow.height
    assert store.timings(plan.variants[0].variant_id).filter(pl.col("phase") == "load").height == ROUNDS


def test_a_model_without_a_decoding_graph_stays_untimed_and_that_is_said(comparison, tiny_graph):
    plain = Graph(tiny_graph.path, tiny_graph.slots, None, "unknown attention")
    said, store = timed(comparison, plain)
    assert "no decoding graph: unknown attention" in said
    assert len(store.untimed()) == 2


def test_exercise_of_a_short_text_is_half_prompt_half_decoding():
    ids = np.arange(512, dtype=np.int32)
    assert [len(part) for part in vars(Exercise.of(ids)).values()] == [256, 32]
    short = Exercise.of(ids[:16])
    assert (short.prompt.tolist(), short.following.tolist()) == (list(range(8)), list(range(8, 16)))
