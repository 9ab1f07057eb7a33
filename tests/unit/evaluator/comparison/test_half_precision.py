"""When half precision is used: shown to work, the same for a whole folder, and never where it is off.

The device is called a GPU here and computes on the CPU provider, which has kernels for all of it.
"""

from __future__ import annotations

import io
import shutil
from dataclasses import replace

import polars as pl
import pytest
from rich.console import Console
from tiny_comparisons import tiny_comparison
from tiny_models import write_tiny_llama

from evaluator.comparison import half_precision as precision
from evaluator.comparison.device_check import Verdict
from evaluator.comparison.run import ComparisonRun
from evaluator.planning.config import VariantSource
from evaluator.planning.plan import make_plan
from evaluator.results.reader import read_manifest
from evaluator.results.store import ResultsStore
from evaluator.runtime.device import Device
from evaluator.support.errors import RequestError
from evaluator.support.progress import RunProgress

GPU = Device("cuda", "CPUExecutionProvider", 1)


#: What a GPU may turn out to be.
SOUND = Verdict(None, None)
HALF_OFF = Verdict(None, "it is off by 10%")
SINGLE_OFF = Verdict("it is off by 100%", "it is off by 100%", float32_is_off=True)
TOO_SMALL = Verdict("it does not run: out of memory", "it is off by 10%")


@pytest.fixture
def comparison(tiny_path, tiny_graph, text_path, tmp_path):
    """A copy of the baseline and a lossy variant."""
    shutil.copy(tiny_path, tmp_path / "Tiny-copy-F32.gguf")
    write_tiny_llama(tmp_path / "Tiny-lossy-Q4_0.gguf", noise=0.01)
    return tiny_comparison(tiny_path, tmp_path / "Tiny-*.gguf", text_path, tmp_path / "out")


def judged(verdict):
    return lambda device, sample, *, half: verdict


def run(comparison, **options):
    said = io.StringIO()
    plan = replace(make_plan(comparison), device=GPU)
    with ResultsStore(comparison.out) as store, RunProgress(Console(file=said, width=300)) as progress:
        outcome = ComparisonRun(plan, comparison, store, progress).run(**options)
    assert outcome.failures == []
    return said.getvalue()


def divergences(comparison):
    rows = pl.read_parquet(comparison.out / "variants.parquet").filter(~pl.col("is_baseline"))
    return {row["quant"]: row["kld_mean"] for row in rows.to_dicts()}


def test_a_run_on_a_gpu_is_in_half_precision_throughout(comparison):
    run(comparison.model_copy(update={"attribution": True}))
    found = divergences(comparison)
    manifest = read_manifest(comparison.out)
    assert (manifest.precisions, manifest.gpu_indices) == ({"cuda": "float16"}, [0])
    assert found["F32"] == 0
    in_float32 = comparison.model_copy(update={"out": comparison.out.with_name("cpu")})
    with ResultsStore(in_float32.out) as store, RunProgress(Console(file=io.StringIO())) as progress:
        ComparisonRun(make_plan(in_float32), in_float32, store, progress).run()
    manifest = read_manifest(in_float32.out)
    assert (manifest.precisions, manifest.gpu_indices) == ({}, [])
    expected = divergences(in_float32)
    assert found["Q4_0"] == pytest.approx(expected["Q4_0"], rel=0.05)
    assert found["Q4_0"] != expected["Q4_0"]
    layers = pl.read_parquet(comparison.out / "layers.parquet")
    drift, matrices = layers.filter(pl.col("role") == "layer"), layers.filter(pl.col("role") != "layer")
    assert drift.height == 2 * 2
    assert drift["hidden_error"].is_not_null().all()
    assert matrices["attribution_kld"].is_not_null().all()


def test_a_gpu_on_which_halves_are_off_computes_in_float32_from_then_on(comparison, monkeypatch):
    first = comparison.model_copy(update={"variants": _only(comparison, "copy")})
    with monkeypatch.context() as patch:
        patch.setattr(precision, "judge", judged(HALF_OFF))
        assert "computing in float32, which is slower: in half precision, it is off by 10%" in run(first)
    assert read_manifest(comparison.out).precisions == {"cuda": "float32"}
    monkeypatch.setattr(precision, "judge", judged(SOUND))
    assert "measured in float32, so this run uses float32 too" in run(comparison)
    assert divergences(comparison)["F32"] == 0
    assert read_manifest(comparison.out).precisions == {"cuda": "float32"}


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (
            SINGLE_OFF,
            r"cuda computes other values than the CPU: in float32 it is off by 100%; use --device cpu",
        ),
        (
            TOO_SMALL,
            r"Tiny-F32.gguf: the GPU cannot be used: in float32, it does not run: out of memory; in half",
        ),
    ],
)
def test_nothing_is_measured_on_a_gpu_that_is_off(comparison, monkeypatch, verdict, words):
    monkeypatch.setattr(precision, "judge", judged(verdict))
    with pytest.raises(RequestError, match=words):
        run(comparison)
    assert not (comparison.out / "variants.parquet").exists()


def test_a_folder_in_float32_is_checked_again_too(comparison, monkeypatch):
    first = comparison.model_copy(update={"variants": _only(comparison, "copy")})
    with monkeypatch.context() as patch:
        patch.setattr(precision, "judge", judged(HALF_OFF))
        run(first)
    monkeypatch.setattr(precision, "judge", judged(SINGLE_OFF))
    with pytest.raises(RequestError, match="computes other values"):
        run(comparison)
    assert divergences(comparison) == {"F32": 0}


def test_a_gpu_that_is_compared_with_itself_only_says_so(comparison, monkeypatch):
    monkeypatch.setattr(precision, "judge", judged(Verdict(None, None, unverified="too little memory")))
    assert "the GPU is checked only against itself: too little memory" in run(comparison)


def test_folder_of_an_earlier_version_goes_on_in_float32(comparison, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(precision, "judge", judged(HALF_OFF))
        run(comparison.model_copy(update={"variants": _only(comparison, "copy")}))
    path = comparison.out / "manifest.json"
    path.write_text(read_manifest(comparison.out).model_dump_json(exclude={"precisions"}))
    monkeypatch.setattr(precision, "judge", judged(SOUND))
    assert "measured in float32" in run(comparison)


def test_folder_in_half_precision_refuses_a_gpu_without_it_unless_it_is_replaced(comparison, monkeypatch):
    monkeypatch.setattr(precision, "judge", judged(SOUND))
    run(comparison.model_copy(update={"variants": _only(comparison, "copy")}))
    monkeypatch.setattr(precision, "judge", judged(HALF_OFF))
    with pytest.raises(
        RequestError, match=r"measured in half precision, which cannot be used here: .* off by 10%"
    ):
        run(comparison)
    assert divergences(comparison) == {"F32": 0}
    run(comparison, force=True)
    assert read_manifest(comparison.out).precisions == {"cuda": "float32"}


def _only(comparison, name):
    folder = comparison.out.parent
    return (VariantSource(method="m", source=str(folder / f"Tiny-{name}-*.gguf")),)
