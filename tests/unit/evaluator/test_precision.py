"""When half precision is used: shown to work, the same for a whole folder, and never where it is off.

The device is called a GPU here and computes on the CPU provider, which has kernels for all of it.
"""

from __future__ import annotations

import io
import re
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from rich.console import Console
from tiny_models import write_tiny_llama

from evaluator import precision
from evaluator.config import Comparison, VariantSource
from evaluator.errors import RequestError
from evaluator.export.graph import Graph
from evaluator.manifest import read_manifest
from evaluator.pipeline import ComparisonRun
from evaluator.plan import make_plan
from evaluator.precision import disagreement, half_trouble
from evaluator.progress import RunProgress
from evaluator.runtime.device import Device
from evaluator.runtime.scoring import Body
from evaluator.sources.gguf_file import open_gguf
from evaluator.windows import Window

GPU = Device("cuda", "CPUExecutionProvider", 1)
WINDOW = Window(0, "d", np.random.default_rng(5).integers(0, 256, 24).astype(np.int32), 12)


class OffWhenHalf(Body):
    """A body whose half precision computes something else."""

    factor = 1.1

    def __init__(self, file, graph, device, *, half=False):
        super().__init__(file, graph, device, half=half)
        self._factor = np.float32(self.factor if half else 1)

    def hidden(self, window):
        return super().hidden(window) * self._factor


class NoKernel(Body):
    """A body without kernels for halves, and too large for the GPU in float32."""

    def __init__(self, file, graph, device, *, half=False):
        if half or device.name == "cuda":
            raise RuntimeError("no kernel\nfor this")
        super().__init__(file, graph, device)


def test_half_precision_that_computes_the_same_is_no_trouble(tiny, tiny_graph):
    assert half_trouble(tiny, tiny_graph, GPU, WINDOW) is None


def test_what_is_too_large_for_the_gpu_in_float32_is_compared_with_the_cpu(tiny, tiny_graph, monkeypatch):
    class FitsInHalves(NoKernel):
        def __init__(self, file, graph, device, *, half=False):
            Body.__init__(self, file, graph, device, half=True) if half else super().__init__(
                file, graph, device
            )

    monkeypatch.setattr(precision, "Body", FitsInHalves)
    assert half_trouble(tiny, tiny_graph, GPU, WINDOW) is None


def test_long_windows_are_tried_at_their_beginning(tiny, tiny_graph, monkeypatch):
    seen = []

    class Watched(Body):
        def hidden(self, window):
            seen.append((len(window.ids), window.first_scored))
            return super().hidden(window)

    monkeypatch.setattr(precision, "Body", Watched)
    monkeypatch.setattr(precision, "_MOST_POSITIONS", 16)
    assert half_trouble(tiny, tiny_graph, GPU, WINDOW) is None
    assert seen == [(16, 8)] * 2


@pytest.mark.parametrize(
    ("body", "factor", "reason"),
    [
        (OffWhenHalf, 1.1, r"off by (9|10)\.\d+%, at the worst position by (9|10)\."),
        (OffWhenHalf, np.nan, "not finite"),
        (NoKernel, 1, "does not run: no kernel for this"),
    ],
)
def test_trouble_is_said_in_one_line(tiny, tiny_graph, monkeypatch, body, factor, reason):
    monkeypatch.setattr(precision, "Body", body)
    monkeypatch.setattr(OffWhenHalf, "factor", factor)
    assert re.search(reason, half_trouble(tiny, tiny_graph, GPU, WINDOW))


def test_weights_beyond_halves_and_plain_graphs_are_trouble(tiny, tiny_graph, tmp_path):
    large = open_gguf(write_tiny_llama(tmp_path / "m.gguf", noise=1e5))
    assert "beyond float16" in half_trouble(large, tiny_graph, GPU, WINDOW)
    plain = Graph(tiny_graph.path, tiny_graph.slots, None, "unknown attention")
    assert "no fused graph: unknown attention" in half_trouble(tiny, plain, GPU, WINDOW)


def test_one_position_that_is_off_is_a_disagreement():
    expected = np.random.default_rng(0).standard_normal((500, 64)).astype(np.float32)
    found = expected * np.float32(1.001)
    assert disagreement(found, expected) is None
    found[7] = expected[7] * np.float32(1.05)
    assert "at the worst position by 5.00%" in disagreement(found, expected)


@pytest.fixture
def comparison(tiny_path, tiny_graph, text_path, tmp_path):
    """A copy of the baseline and a lossy variant."""
    shutil.copy(tiny_path, tmp_path / "Tiny-copy-F32.gguf")
    write_tiny_llama(tmp_path / "Tiny-lossy-Q4_0.gguf", noise=0.01)
    return Comparison(
        baseline=str(tiny_path),
        variants=(VariantSource(method="m", source=str(tmp_path / "Tiny-*.gguf")),),
        texts=(f"prose={text_path}",),
        out=tmp_path / "out",
        context=16,
        chunks=4,
        device="cpu",
        threads=1,
        speed=False,
    )


def run(comparison, **options):
    said = io.StringIO()
    plan = replace(make_plan(comparison), device=GPU)
    with RunProgress(Console(file=said, width=300)) as progress:
        outcome = ComparisonRun(plan, comparison, progress).run(**options)
    assert outcome.failures == []
    return said.getvalue()


def divergences(comparison):
    rows = pl.read_parquet(comparison.out / "variants.parquet").filter(~pl.col("is_baseline"))
    return {row["quant"]: row["kld_mean"] for row in rows.to_dicts()}


def test_a_run_on_a_gpu_is_in_half_precision_throughout(comparison):
    run(comparison)
    found = divergences(comparison)
    assert read_manifest(comparison.out).precisions == {"cuda": "float16"}
    assert found["F32"] == 0
    in_float32 = comparison.model_copy(update={"out": comparison.out.with_name("cpu")})
    with RunProgress(Console(file=io.StringIO())) as progress:
        ComparisonRun(make_plan(in_float32), in_float32, progress).run()
    assert read_manifest(in_float32.out).precisions == {}
    expected = divergences(in_float32)
    assert found["Q4_0"] == pytest.approx(expected["Q4_0"], rel=0.05)
    assert found["Q4_0"] != expected["Q4_0"]
    layers = pl.read_parquet(comparison.out / "layers.parquet").filter(pl.col("role") == "layer")
    assert layers["hidden_error"].is_not_null().all()


def test_a_gpu_on_which_halves_are_off_computes_in_float32_from_then_on(comparison, monkeypatch):
    first = comparison.model_copy(update={"variants": _only(comparison, "copy")})
    with monkeypatch.context() as patch:
        patch.setattr(precision, "Body", OffWhenHalf)
        assert "computing in float32, which is slower: half precision is off by" in run(first)
    assert read_manifest(comparison.out).precisions == {"cuda": "float32"}
    assert "measured in float32, so this run computes in it too" in run(comparison)
    assert divergences(comparison)["F32"] == 0
    assert read_manifest(comparison.out).precisions == {"cuda": "float32"}


def test_folder_of_an_earlier_version_goes_on_in_float32(comparison, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(precision, "Body", OffWhenHalf)
        run(comparison.model_copy(update={"variants": _only(comparison, "copy")}))
    path = comparison.out / "manifest.json"
    path.write_text(read_manifest(comparison.out).model_dump_json(exclude={"precisions"}))
    assert "measured in float32" in run(comparison)


def test_folder_in_half_precision_refuses_a_gpu_without_it_unless_it_is_replaced(comparison, monkeypatch):
    run(comparison.model_copy(update={"variants": _only(comparison, "copy")}))
    monkeypatch.setattr(precision, "Body", NoKernel)
    with pytest.raises(
        RequestError, match=r"measured in half precision, which does not work here.*no kernel"
    ):
        run(comparison)
    assert divergences(comparison) == {"F32": 0}
    monkeypatch.setattr(precision, "Body", OffWhenHalf)
    run(comparison, force=True)
    assert read_manifest(comparison.out).precisions == {"cuda": "float32"}


def _only(comparison, name):
    folder = comparison.out.parent
    return (VariantSource(method="m", source=str(folder / f"Tiny-{name}-*.gguf")),)
