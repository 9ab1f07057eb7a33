"""Long windows: what they take, that attention takes no square of them, and what is refused."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gguf
import pytest
from tiny_models import write_tiny_llama

from evaluator.export.exact.graph import graph_request
from evaluator.export.fusion.attention import ATTENTION
from evaluator.export.fusion.uses import load_fused
from evaluator.models.architectures.rotary import made_for
from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime import machine, window_memory
from evaluator.runtime.machine import free_memory
from evaluator.runtime.window_memory import check_memory, window_bytes
from evaluator.support.errors import RequestError

U32, F32, STRING = gguf.GGUFValueType.UINT32, gguf.GGUFValueType.FLOAT32, gguf.GGUFValueType.STRING
_SQUARE = 16 * 4096**2 * 4
_SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from evaluator.export.exact.graph import load_graph
from evaluator.runtime.device import Device
from evaluator.runtime.peak_memory import _own_peak
from evaluator.runtime.scoring import Body
from evaluator.models.gguf.reader import open_gguf
from evaluator.texts.windows import Window
file = open_gguf(Path(sys.argv[1]))
body = Body(file, load_graph(file), Device("cpu", "CPUExecutionProvider", 1))
before = _own_peak()
body.hidden(Window(0, "d", np.arange(4096, dtype=np.int32) % 256, 2048))
sys.stdout.write(str(_own_peak() - before))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
def test_attention_takes_no_square_of_a_long_window(tmp_path):
    """Sixteen heads and 4,096 positions: a square of scores would be 1.07 GB."""
    model = write_tiny_llama(tmp_path / "m.gguf", heads=16, kv_heads=4, layers=1)
    command = [sys.executable, "-c", _SCRIPT, str(model)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(result.stdout) < _SQUARE / 4


def test_every_layer_puts_out_the_keys_that_make_the_kernel_take_blocks(tiny_graph):
    nodes = [node for node in load_fused(tiny_graph.fused).graph.node if node.op_type == ATTENTION]
    assert [len(node.output) for node in nodes] == [3, 3]


def test_estimate_is_linear_with_blocks_and_a_square_without(tiny, tiny_graph):
    plain = replace(tiny_graph, fused=None)
    row = (32 * 256 + 16 * 512) * 4  # tiny: 256 wide, 512 in the feed-forward part, 4 heads
    assert window_bytes(tiny, tiny_graph)(16_384) == 16_384 * row
    assert window_bytes(tiny, tiny_graph)(512) == 2 * 512 * row
    assert window_bytes(tiny, plain)(16_384) == 16_384 * row + 4 * 4 * 16_384**2 * 4
    assert window_bytes(tiny, plain, together=1)(512) == 512 * row + 4 * 4 * 512**2 * 4


def test_a_soft_cap_takes_the_square_that_blocks_avoid(tiny, tiny_graph, monkeypatch):
    settings = graph_request(tiny)["settings"] | {"attn_logit_softcapping": 50.0}
    monkeypatch.setattr(window_memory, "graph_request", lambda _: {"settings": settings})
    row = (32 * 256 + 16 * 512) * 4
    assert window_bytes(tiny, tiny_graph)(16_384) == 16_384 * row + 4 * 16_384**2 * 4


@pytest.mark.parametrize("context", [4096, 32_768, 65_536])
def test_what_is_refused_names_a_context_that_fits(tiny, tiny_graph, context):
    plain = replace(tiny_graph, fused=None)
    free = 4 * tiny.n_params + 200_000_000
    with pytest.raises(RequestError, match=rf"--context {context}: windows take about [\d,.]+ GB") as caught:
        check_memory(tiny, plain, context, free)
    fitting = int(re.search(r"use --context (\d+) or less", str(caught.value))[1])
    check_memory(tiny, plain, fitting, free)
    # Two windows at a time up to 2,048 positions, then one: 4 · 4 heads · n² · 4 bytes · windows, and 65,536 n.
    assert fitting == 838


def test_odd_windows_that_fit_are_let_through(tiny, tiny_graph):
    """An importance matrix may be measured on windows of any length."""
    check_memory(tiny, tiny_graph, 513, 4 * tiny.n_params + 10**9, together=1)


def test_weights_that_fill_the_memory_are_not_blamed_on_windows(tiny, tiny_graph):
    check_memory(tiny, tiny_graph, 65_536, 4 * tiny.n_params)


def test_free_memory_is_what_the_container_leaves(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(machine, "_CONTAINER_LIMIT", limit)
    everything = free_memory()
    limit.write_text("max\n")
    assert free_memory() == pytest.approx(everything, rel=0.5)
    limit.write_text("1000\n")
    assert free_memory() == 0


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ({}, 128),
        ({"type": ("yarn", STRING), "factor": (4.0, F32), "original_context_length": (128, U32)}, 512),
        ({"type": ("linear", STRING), "factor": (2.0, F32), "original_context_length": (64, U32)}, 128),
        ({"type": ("none", STRING), "factor": (4.0, F32), "original_context_length": (128, U32)}, 128),
    ],
)
def test_a_model_is_made_for_its_stretched_context(tmp_path: Path, scaling, expected):
    metadata = {f"llama.rope.scaling.{key}": value for key, value in scaling.items()}
    assert made_for(open_gguf(write_tiny_llama(tmp_path / "m.gguf", metadata=metadata))) == expected
