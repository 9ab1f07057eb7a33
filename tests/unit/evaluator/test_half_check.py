"""The proof that half precision computes the same as float32, in this process and in one of its own.

The device is called a GPU here and computes on the CPU provider, which has kernels for all of it.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from tiny_models import write_tiny_llama

from evaluator import half_check
from evaluator.export.graph import Graph
from evaluator.half_check import disagreement, half_trouble, trouble_apart
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

    monkeypatch.setattr(half_check, "Body", FitsInHalves)
    assert half_trouble(tiny, tiny_graph, GPU, WINDOW) is None


def test_long_windows_are_tried_at_their_beginning(tiny, tiny_graph, monkeypatch):
    seen = []

    class Watched(Body):
        def hidden(self, window):
            seen.append((len(window.ids), window.first_scored))
            return super().hidden(window)

    monkeypatch.setattr(half_check, "Body", Watched)
    monkeypatch.setattr(half_check, "_MOST_POSITIONS", 16)
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
    monkeypatch.setattr(half_check, "Body", body)
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


def test_a_process_of_its_own_finds_the_same(tiny, tiny_graph, tmp_path):
    assert trouble_apart(tiny, GPU, WINDOW) is None
    large = open_gguf(write_tiny_llama(tmp_path / "m.gguf", noise=1e5))
    assert "beyond float16" in trouble_apart(large, GPU, WINDOW)


def test_a_process_that_crashes_is_trouble(tiny, monkeypatch, tmp_path):
    (tmp_path / "crashing.py").write_text(
        "import os, sys\nprint('bad kernel', file=sys.stderr)\nos.abort()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(half_check, "_MODULE", "crashing")
    found = trouble_apart(tiny, GPU, WINDOW)
    assert re.fullmatch(r"trying half precision ended with status -?\d+: bad kernel", found)
