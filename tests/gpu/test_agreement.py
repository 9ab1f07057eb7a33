"""A GPU measures what the CPU measures; skipped without one.

With `GPU_STAND_IN=1` the CPU provider stands in for a GPU, half precision included. Its half-precision products round
more, so perplexities agree less closely.
"""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest
from rich.console import Console

from evaluator.commands.demo import DEMO_SOURCE
from evaluator.commands.run import run_comparison
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.sources.resolve import resolve_source
from evaluator.planning import plan
from evaluator.planning.config import Comparison, VariantSource
from evaluator.quantize.batch import Evidence, make_all, making_progress, plan_jobs, select
from evaluator.results.reader import read_manifest
from evaluator.runtime.device import CPU_PROVIDER, Device, choose_devices
from evaluator.support.errors import RequestError

pytestmark = pytest.mark.integration

STAND_IN = os.environ.get("GPU_STAND_IN")
#: Below this KLD in nats a variant is nearly lossless.
NEARLY_LOSSLESS = 0.02
#: Largest relative difference of a perplexity.
PPL_TOLERANCE = 3e-4 if STAND_IN else 1e-4


@pytest.fixture(scope="module", autouse=True)
def gpu():
    """Skip without a GPU that works."""
    if STAND_IN:
        device = Device("cuda", CPU_PROVIDER, 2)
        with pytest.MonkeyPatch.context() as patch:
            chosen = choose_devices
            patch.setattr(plan, "choose_devices", lambda c, t: [device] if c == "cuda" else chosen(c, t))
            yield
        return
    if choose_devices("auto")[0].name != "cuda":
        pytest.skip("no GPU that onnxruntime can use")
    yield


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The model as published, and variants of it: a copy, one that is nearly lossless, and others."""
    try:
        baseline = resolve_source(DEMO_SOURCE)[0]
    except RequestError as error:
        pytest.skip(str(error))
    folder, source = tmp_path_factory.mktemp("variants"), open_gguf(baseline)
    with ThreadPoolExecutor(2) as pool, making_progress(Console(file=io.StringIO())) as progress:
        jobs = plan_jobs(
            source, select("main", ["Q8_0", "Q4_0", "Q2_K"]), folder, Evidence(), pool, replace=True
        )
        make_all(source, jobs, pool, progress, replace=True)
    return baseline, [baseline, *(job.target for job in jobs)]


def measured(files, device, out):
    baseline, variants = files
    comparison = Comparison(
        baseline=str(baseline),
        variants=tuple(VariantSource(method="main", source=str(path)) for path in variants),
        texts=("builtin",),
        out=out,
        chunks=1,
        device=device,
        attribution=True,
        speed=False,
    )
    summary = run_comparison(comparison, Console(file=io.StringIO()))
    assert summary["failures"] == []
    rows = pl.read_parquet(out / "variants.parquet").filter(~pl.col("is_baseline")).to_dicts()
    return {row["quant"]: row for row in rows}, pl.read_parquet(out / "layers.parquet")


@pytest.fixture(scope="module")
def both(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    return measured(files, "cpu", folder / "cpu"), measured(files, "cuda", folder / "gpu"), folder


def test_half_precision_is_accepted(both):
    assert read_manifest(both[2] / "gpu").precisions == {"cuda": "float16"}


def test_a_copy_diverges_by_exactly_nothing(both):
    for rows, layers in both[:2]:
        assert rows["Q4_1"]["kld_mean"] == 0
        same = layers.filter(pl.col("variant_id") == rows["Q4_1"]["variant_id"])
        assert same["hidden_error"].max() == same["attribution_kld"].max() == 0


def test_perplexity_and_divergence_agree(both):
    (cpu, _), (gpu, _), _ = both
    assert set(cpu) == set(gpu) == {"Q4_1", "Q8_0", "Q4_0", "Q2_K"}
    for quant, expected in cpu.items():
        found = gpu[quant]
        assert found["ppl"] == pytest.approx(expected["ppl"], rel=PPL_TOLERANCE)
        tolerance = 1e-2 if expected["kld_mean"] < NEARLY_LOSSLESS else 1e-3
        assert found["kld_mean"] == pytest.approx(expected["kld_mean"], rel=tolerance, abs=1e-9)


def test_layers_agree(both):
    (_, cpu), (_, gpu), _ = both
    keys = ["layer", "role", "quant_type"]
    for quant in ("q4_0", "q2_k"):
        ours, theirs = (
            frame.filter(pl.col("variant_id").str.contains(quant)).sort(keys) for frame in (cpu, gpu)
        )
        pairs = zip(ours["hidden_error"].drop_nulls(), theirs["hidden_error"].drop_nulls(), strict=True)
        for expected, found in pairs:
            assert found == pytest.approx(expected, rel=1e-2)
        causes = zip(
            ours["attribution_kld"].drop_nulls(), theirs["attribution_kld"].drop_nulls(), strict=True
        )
        for expected, found in causes:
            assert found == pytest.approx(expected, rel=0.05, abs=1e-5)
