"""A tiny comparison in which files are run in llama.cpp, too."""

from __future__ import annotations

import io
from dataclasses import replace

import gguf
import numpy as np
import polars as pl
import pytest
from rich.console import Console
from tiny_comparisons import tiny_comparison
from tiny_models import CONTROL, USER_DEFINED, write_tiny_llama

from evaluator.comparison.exact_states import ExactStates
from evaluator.comparison.noise_floor import Bf16Noise
from evaluator.comparison.run import ComparisonRun
from evaluator.engines.kinds import llama_cpp
from evaluator.engines.kinds.llama_cpp import LlamaCpp
from evaluator.metrics import METRIC_FAMILIES
from evaluator.planning.plan import make_plan
from evaluator.results.files import KV_CACHE
from evaluator.results.store import ResultsStore
from evaluator.runtime.device import Device
from evaluator.support.errors import EvaluatorError
from evaluator.support.progress import RunProgress

#: Numbers per token and layer in keys, and in values: two heads of 64.
KV_WIDTH = 128
FAMILIES = ("llama_cpp_speed", "llama_cpp_loss")
COLUMNS = [column.name for name in FAMILIES for column in METRIC_FAMILIES.get(name).columns]


@pytest.fixture
def comparison(tiny_path, tiny_graph, text_path, tmp_path):
    for kind in (gguf.GGMLQuantizationType.Q4_1, gguf.GGMLQuantizationType.Q8_0):
        write_tiny_llama(tmp_path / f"Tiny-{kind.name}.gguf", ggml_type=kind)
    asked = tiny_comparison(tiny_path, tmp_path / "Tiny-Q*.gguf", text_path, tmp_path / "out", chunks=2)
    return asked.model_copy(update={"engines": ("llama.cpp",), "layers": False})


def run(comparison, **changes):
    """Return what was said, and the rows by quantization."""
    said = io.StringIO()
    with ResultsStore(comparison.out) as store, RunProgress(Console(file=said, width=400)) as progress:
        plan = replace(make_plan(comparison), **changes)
        ComparisonRun(plan, comparison, store, progress).run()
        return said.getvalue(), {row["quant"]: row for row in store.variants().to_dicts()}, store


def test_losses_and_times_are_columns_and_are_measured_once(comparison, monkeypatch):
    asked = comparison.model_copy(update={"speed": True})
    _, rows, store = run(asked)
    for row in rows.values():
        assert [name for name in COLUMNS if row[name] is None] == []
        assert 0 < row["llamacpp_decode_ms_p10"] <= row["llamacpp_decode_ms_p50"]
        assert row["decode_ms_p50"] is None  # onnxruntime was not asked for
        assert row["llamacpp_ppl"] == pytest.approx(row["ppl"], rel=0.01)
        assert row["llamacpp_peak_rss_bytes"] > row["size_bytes"]
    assert rows["F32"]["llamacpp_baseline_kld_mean"] == rows["F32"]["llamacpp_kld_mean"] < 1e-5
    for name in ("Q4_1", "Q8_0"):
        assert 1e-6 < rows[name]["llamacpp_kld_mean"] < 0.01
    assert rows["Q4_1"]["llamacpp_baseline_kld_mean"] == pytest.approx(rows["Q4_1"]["kld_mean"], rel=0.05)
    frame = pl.read_parquet(comparison.out / "speed.parquet")
    assert frame["engine"].unique().to_list() == ["llama.cpp"]
    # Windows of 16 tokens: 8 decoded on an empty cache, and 8 after a prompt of 8.
    assert sorted(frame.filter(phase="decode")["context"].unique()) == list(range(16))
    assert set(frame.filter(phase="prefill")["context"]) == {0}
    counts = frame.group_by("phase").len().sort("phase")["len"].to_list()
    assert counts == [3 * 3, 3 * 3, 3 * 3 * 16]
    settings = store.manifest.engines["llama.cpp"]
    assert (
        settings.items()
        >= {
            **{"threads": 1, "batch": 2048, "ubatch": 512, "flash_attention": "auto", "cache": "f16"},
            **{"n_gpu_layers": "none", "flash_attention_used": "on"},
        }.items()
    )
    assert "CPU : " in settings["features"]
    assert not (comparison.out / "work").exists()

    monkeypatch.setattr(llama_cpp, "llama_answer", None)
    monkeypatch.setattr(llama_cpp, "llama_losses", None)
    again, same, _ = run(asked)
    assert same == rows
    assert "llama.cpp" not in again


def test_without_speed_only_losses_are_measured_and_a_missing_one_later(comparison, monkeypatch):
    kept = []
    monkeypatch.setattr(ExactStates, "forget", lambda _, item: kept.append(item.variant_id))
    _, rows, store = run(comparison)
    assert [row["llamacpp_decode_ms_p50"] for row in rows.values()] == [None] * 3
    assert kept[-3:] == [row["variant_id"] for row in rows.values()]
    kept.clear()
    variant = rows["Q8_0"]["variant_id"]
    store.set_columns(variant, {"llamacpp_kld_mean": None})
    _, again, _ = run(comparison)  # its exact states, and the baseline's, are computed again
    assert kept == [variant]
    assert again["Q8_0"]["llamacpp_kld_mean"] == pytest.approx(rows["Q8_0"]["llamacpp_kld_mean"], rel=1e-6)
    assert again["F32"] == rows["F32"]


def test_exact_states_of_the_compared_windows_alone_are_computed(comparison, monkeypatch):
    some = comparison.model_copy(update={"engine_windows": 1})
    _, together, _ = run(some.model_copy(update={"out": some.out.with_name("together")}))
    run(some.model_copy(update={"engines": ("onnxruntime",)}))
    computed = []
    monkeypatch.setattr(
        ExactStates,
        "forget",
        lambda self, item: computed.append(len(self._store.hidden_states(item.variant_id).values())),
    )
    _, later, _ = run(some)
    assert computed == [1, 1, 1]
    for label, row in later.items():
        assert row["llamacpp_n_tokens"] == 16 - 1 - 8
        for name in ("llamacpp_kld_mean", "llamacpp_baseline_kld_mean", "llamacpp_kld_change"):
            assert row[name] == pytest.approx(together[label][name], rel=1e-6, abs=1e-12)


@pytest.mark.usefixtures("two_rounds")
def test_a_file_that_ends_llama_cpp_costs_only_its_columns(comparison, tmp_path, monkeypatch):
    twice = [("<th>", USER_DEFINED), ("<th>", CONTROL)]
    ending = str(write_tiny_llama(tmp_path / "ending.gguf", tokens=twice))
    path = llama_cpp.path_of
    monkeypatch.setattr(llama_cpp, "path_of", lambda file: ending if "Q4_1" in file.name else path(file))
    monkeypatch.setattr(llama_cpp, "llama_losses", lambda *_: {"kld_mean": 0.5})
    said, rows, _ = run(comparison.model_copy(update={"speed": True}))
    (line,) = [line for line in said.splitlines() if "Q4_1" in line.upper() and "llama.cpp" in line]
    assert "not timed in llama.cpp: llama.cpp ended its process (SIGABRT): GGML_ASSERT(" in line
    assert rows["Q4_1"]["variant_id"] not in pl.read_parquet(comparison.out / "memory.parquet")["variant_id"]
    assert [rows["Q4_1"][name] for name in COLUMNS] == [None] * len(COLUMNS)
    assert rows["Q4_1"]["kld_mean"] > 0
    assert rows["Q8_0"]["llamacpp_decode_ms_p50"] > 0


def test_a_family_that_llama_cpp_does_not_know_is_named(comparison, monkeypatch):
    monkeypatch.setattr(llama_cpp, "llama_losses", lambda *_: _refuse())
    said, rows, _ = run(comparison)
    assert said.count("no engine gap in llama.cpp: llama.cpp does not load it: unknown model") == 3
    assert rows["Q8_0"]["llamacpp_kld_mean"] is None


def _refuse():
    raise EvaluatorError("llama.cpp does not load it: unknown model architecture: 'new'")


def test_files_that_are_too_large_are_not_run(comparison, tiny, monkeypatch):
    monkeypatch.setattr("evaluator.engines.kinds.llama_cpp.GIGABYTE", 1e6)
    bench = type("Bench", (), {"memory": 10, "device": Device("cpu", "CPUExecutionProvider", 1)})()
    case = type("Case", (), {"file": tiny})()
    with pytest.raises(EvaluatorError, match=r"and 0\.0 GB may be used; see --memory"):
        LlamaCpp(bench).prepare(case, comparison.out)


def bench(kind):
    return type("Bench", (), {"device": Device(kind, "", 1), "memory": 1 << 30})()


def test_it_says_why_it_runs_nothing_or_not_a_file(tiny, monkeypatch):
    assert LlamaCpp(bench("cpu")).why_not() is None
    assert LlamaCpp.declines(tiny) is None
    assert LlamaCpp.declines(Bf16Noise.of(tiny)) == "because they are no GGUF files"

    def missing():
        raise EvaluatorError("llama.cpp's library is not there: pip install xllamacpp")

    monkeypatch.setattr(llama_cpp, "llama_library", missing)
    assert "pip install" in LlamaCpp(bench("cpu")).why_not()


def test_on_a_gpu_it_needs_a_library_with_a_backend_and_offloads_all_layers(tiny, monkeypatch):
    """The library of the tests has none."""
    engine = LlamaCpp(bench("cuda"))
    assert engine.why_not() == "this run measures a GPU, and llama.cpp's library has no backend for one"
    settings = engine.settings(tiny)
    assert (settings["n_gpu_layers"], settings["gpu_backend"]) == ("all", 0)
    monkeypatch.setattr(llama_cpp, "llama_answer", lambda *_, **__: {"gpu_backend": 1})
    assert engine.why_not() is None
    assert "every GPU" in engine.notice
    assert _file(engine, tiny).costs() == {}


def _file(engine, tiny):
    case = type("Case", (), {"file": tiny})()
    return engine.prepare(case, tiny.path.parent)


def test_settings_of_a_file_that_is_refused_are_those_of_the_library(tiny, tmp_path):
    bad = type("File", (), {"files": (tmp_path / "none.gguf",), "size_bytes": 1})()
    settings = LlamaCpp(bench("cpu")).settings(bad)
    assert settings["threads"] == 1
    assert "features" in settings
    assert "flash_attention_used" not in settings


@pytest.mark.usefixtures("two_rounds")
def test_types_of_the_cache_are_rows_and_are_measured_once(comparison, monkeypatch):
    asked = comparison.model_copy(update={"kv_cache": ("f16", "q8_0", "q4_0")})
    run(asked)
    assert pl.read_parquet(comparison.out / "kv_cache.parquet")["decode_ms_p50"].null_count() == 9
    asked = asked.model_copy(update={"speed": True})
    _, rows, store = run(asked)
    frame = pl.read_parquet(comparison.out / "kv_cache.parquet")
    assert frame.height == 9
    for variant in rows.values():
        found = {row["cache_type"]: row for row in frame.filter(variant_id=variant["variant_id"]).to_dicts()}
        assert found["f16"]["kld_mean"] == variant["llamacpp_kld_mean"]
        assert found["q4_0"]["kld_mean"] > max(found["f16"]["kld_mean"], found["q8_0"]["kld_mean"])
        # Two layers, keys and values, numbers of 16, 8.5 and 4.5 bits.
        for name, bits in (("f16", 16), ("q8_0", 8.5), ("q4_0", 4.5)):
            expected = 1000 * 2 * 2 * KV_WIDTH * bits / 8
            assert expected <= found[name]["bytes_per_1000_tokens"] <= expected + 1000 * 24
            assert found[name]["decode_ms_p50"] > 0
            assert found[name]["decode_deep_ms_p50"] is None  # its context is 128
    monkeypatch.setattr(llama_cpp, "llama_answer", None)
    monkeypatch.setattr(llama_cpp, "llama_losses", None)
    run(asked)
    assert pl.read_parquet(comparison.out / "kv_cache.parquet").equals(frame)
    assert store.rows(KV_CACHE, rows["Q8_0"]["variant_id"]).height == 3


def test_a_file_that_could_not_be_scored_is_not_run(comparison, tmp_path):
    """The logits of this one do not vary."""
    bad = write_tiny_llama(
        tmp_path / "bad-Q8_0.gguf", untied=True, placed={"blk.0.ffn_down.weight": (7, 1e38)}
    )
    source = comparison.variants[0].model_copy(update={"source": str(bad)})
    baseline = write_tiny_llama(tmp_path / "Untied-F32.gguf", untied=True)
    changes = {"baseline": str(baseline), "variants": (source,), "kv_cache": ("q8_0",)}
    said, rows, _ = run(comparison.model_copy(update=changes))
    assert "its logits do not vary" in said
    assert list(rows) == ["F32"]
    assert "a cache of q8_0 is not measured" not in said
    assert pl.read_parquet(comparison.out / "kv_cache.parquet").height == 1


def test_states_that_an_interrupted_run_left_of_another_file_are_not_compared(
    comparison, tmp_path, monkeypatch
):
    """The disk has no room to keep states, so those that are there are not replaced by newer ones."""
    run(comparison.model_copy(update={"engines": ("onnxruntime",)}))
    plan = make_plan(comparison)
    with ResultsStore(comparison.out) as store:
        for item in plan.variants:
            stored = store.hidden_states(item.variant_id)
            for index, window in enumerate(plan.windows):
                stored.put(index, len(plan.windows), np.ones((len(window.targets), 256), np.float32))
            stored.seal()
    for kind in (gguf.GGMLQuantizationType.Q4_1, gguf.GGMLQuantizationType.Q8_0):
        write_tiny_llama(tmp_path / f"Tiny-{kind.name}.gguf", ggml_type=kind, noise=0.01)
    monkeypatch.setattr("evaluator.comparison.exact_states._SHARE_OF_DISK", 0.0)
    _, rows, _ = run(comparison)
    assert max(row["llamacpp_kld_mean"] for row in rows.values()) < 0.01


@pytest.mark.usefixtures("two_rounds")
def test_a_type_that_does_not_fit_is_named_and_costs_only_its_row(comparison, monkeypatch):
    asked = comparison.model_copy(update={"kv_cache": ("f16", "q4_0"), "speed": True})
    time = llama_cpp._File.time

    def failing(file, *, deep):
        return _refuse() if file.settings.cache == "q4_0" else time(file, deep=deep)

    monkeypatch.setattr(llama_cpp._File, "time", failing)
    said, rows, store = run(asked)
    assert said.count("a cache of q4_0 is not measured in llama.cpp: llama.cpp does not load it") == 3
    assert store.rows(KV_CACHE, rows["Q8_0"]["variant_id"])["cache_type"].to_list() == ["f16"]
