"""What a pass keeps in memory: the decision, and that long windows take no square of themselves."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest
import random_families
from tiny_models import write_tiny_llama

from evaluator.export.exact.graph import load_graph
from evaluator.export.fusion.attention import ATTENTION
from evaluator.export.fusion.uses import load_fused
from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime import memory_plan
from evaluator.runtime.device import Device, choose_device
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.memory_plan import (
    Budget,
    Shape,
    block_bytes,
    check_disk,
    plan_branches,
    plan_memory,
    working_bytes,
)
from evaluator.support.errors import RequestError

CPU = choose_device("cpu", 1)
GPU = Device("cuda", "CPUExecutionProvider", 1)
_SQUARE = 16 * 4096**2 * 4
_SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from evaluator.export.exact.graph import load_graph
from evaluator.runtime.device import Device
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.peak_memory import own_peak
from evaluator.runtime.scoring import window_states
from evaluator.models.gguf.reader import open_gguf
from evaluator.texts.windows import Window
file = open_gguf(Path(sys.argv[1]))
model = LayeredModel(load_graph(file), Device("cpu", "CPUExecutionProvider", 1))
before = own_peak()
window_states(model, file, [Window(0, "d", np.arange(4096, dtype=np.int32) % 256, 2048)])
sys.stdout.write(str(own_peak() - before))
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


@pytest.fixture(scope="module")
def model(tiny_graph):
    return LayeredModel(tiny_graph, CPU)


@pytest.fixture(scope="module")
def on_gpu(tiny_graph):
    return LayeredModel(tiny_graph, GPU, half=True)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
@pytest.mark.parametrize("family", ["qwen35", "gemma4", "gpt-oss"])
def test_estimate_of_described_models_is_an_upper_bound(family, tmp_path):
    """Recurrences run as a whole; streams carry keys and inputs of layers; sinks need all scores of a chunk."""
    file = open_gguf(random_families.write(family, tmp_path / "m.gguf"))
    model = LayeredModel(load_graph(file), CPU)
    shape = Shape(1, 4096, model.width)
    taken = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(file.path)], check=True, capture_output=True, text=True
    ).stdout
    assert int(taken) < working_bytes(model, file, shape) + shape.stream_bytes + block_bytes(model, shape)


def test_a_recurrence_takes_memory_for_whole_windows(tmp_path):
    model, file = described_model("qwen35", tmp_path, layers=1)
    at = [working_bytes(model, file, Shape(1, length, 64)) for length in (8192, 16_384)]
    assert at[1] == 2 * at[0]
    attention, other = described_model("olmo2", tmp_path)
    at_other = [working_bytes(attention, other, Shape(1, length, 64)) for length in (8192, 16_384)]
    assert at_other[1] < 1.8 * at_other[0] < at[0]


def described_model(family, folder, **options):
    file = open_gguf(random_families.write(family, folder / f"{family}.gguf", **options))
    return LayeredModel(load_graph(file), CPU), file


def test_estimate_is_linear_with_chunks_and_a_square_without(tiny, tiny_graph, model):
    plain = LayeredModel(tiny_graph, CPU, fused=False)
    stream, row = 256 * 4, (8 * 256 + 4 * 512) * 4  # tiny: 256 wide, 512 in the feed-forward part, 4 heads
    assert working_bytes(model, tiny, Shape(3, 512, 256)) == 1024 * (row + 2 * stream)
    assert working_bytes(model, tiny, Shape(3, 16_384, 256)) == 2048 * row + 2 * 16_384 * stream
    squares = 4 * 4 * 16_384**2 * 4
    assert working_bytes(plain, tiny, Shape(1, 16_384, 256)) == 2048 * row + 2 * 16_384 * stream + squares


GB = 10**9


@pytest.mark.parametrize(
    ("gigabytes", "place", "ahead"), [(8, "device", True), (2, "disk", True), (0.7045, "disk", False)]
)
def test_streams_leave_memory_before_the_next_piece_does(tiny, model, monkeypatch, gigabytes, place, ahead):
    """4,000 windows of 512 tokens are 2.1 GB; the largest piece has 1.6 MB."""
    monkeypatch.setattr(memory_plan, "_STREAMS", 0)
    monkeypatch.setattr(memory_plan, "_WIDE", 0)
    plan = plan_memory(model, tiny, Shape(4000, 512, 256), Budget.of(gigabytes, 0))
    assert (plan.place, plan.ahead, plan.stream_bytes) == (place, ahead, 4000 * 512 * 256 * 4)
    assert plan.piece_bytes == (3 * 256 * 512 + 256) * 4


def test_a_gpu_leaves_streams_to_the_computer_before_the_disk(tiny, on_gpu):
    shape = Shape(4000, 512, 256)
    places = [
        plan_memory(on_gpu, tiny, shape, Budget(host, device)).place
        for host, device in ((8 * GB, 8 * GB), (8 * GB, GB), (2 * GB, GB))
    ]
    assert places == ["device", "host", "disk"]


def test_what_does_not_fit_is_refused_with_what_it_takes(tiny, model):
    shape = Shape(1, 65_536, 256)
    with pytest.raises(RequestError, match=r"0\.9 GB, and 0\.5 GB may be used; use --memory 0\.9 or more"):
        plan_memory(model, tiny, shape, Budget.of(0.5, 0))
    with pytest.raises(RequestError, match="close other programs, or use a smaller --context"):
        plan_memory(model, tiny, shape, Budget.of(None, GB // 2))


@pytest.mark.parametrize("length", [65_536, 50_000])
def test_a_refusal_names_a_budget_that_is_enough(tiny, model, length):
    shape = Shape(1, length, 256)
    with pytest.raises(RequestError) as refused:
        plan_memory(model, tiny, shape, Budget.of(0.5, 0))
    needed = float(re.search(r"--memory (\S+) or more", str(refused.value))[1])
    assert plan_memory(model, tiny, shape, Budget.of(needed, 0)).host_bytes <= needed * GB


def test_a_refusal_says_that_the_gpu_is_too_small(tiny, on_gpu):
    with pytest.raises(RequestError, match=r"of the GPU's memory, and 0\.0 GB may be used; .* --device cpu"):
        plan_memory(on_gpu, tiny, Shape(1, 512, 256), Budget(8 * GB, 1000, requested=True))


def test_without_a_request_a_part_of_the_free_memory_is_used():
    assert Budget.of(None, 10 * GB) == Budget(8 * GB, 8 * GB)
    assert Budget.of(None, 10 * GB, 5 * GB) == Budget(8 * GB, 4 * GB)
    assert Budget.of(2, 10 * GB, 5 * GB) == Budget(2 * GB, 4 * GB, requested=True)


def test_a_disk_without_room_is_refused(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3 * GB))
    check_disk(tmp_path, 2 * GB, "another --out")
    with pytest.raises(
        RequestError,
        match=r"take 2\.1 GB, .* 3\.0 GB free, 1 GB of it for other programs; .* or another --out",
    ):
        check_disk(tmp_path, 2 * GB + GB // 10, "another --out")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3_000_000))
    with pytest.raises(RequestError, match=r"take less than 1 MB, and this disk has 3 MB free, 1 GB of it"):
        check_disk(tmp_path, 5000, "another --out")


def test_branches_get_what_the_weights_of_two_files_leave(tiny, model):
    """The largest piece has 1.6 MB; four of them are held if the next is read ahead, else two."""
    shape = Shape(2, 24, 256)
    piece = (3 * 256 * 512 + 256) * 4
    fixed = 700_000_000 + working_bytes(model, tiny, shape)
    assert plan_branches(model, tiny, shape, Budget(GB, GB)) == (True, GB - fixed - 4 * piece)
    tight = fixed + 3 * piece
    assert plan_branches(model, tiny, shape, Budget(tight, tight)) == (False, piece)
    assert plan_branches(model, tiny, shape, Budget(fixed, fixed)) == (False, 0)


def test_passes_at_a_time_share_the_computers_memory():
    assert Budget.on(CPU, 8, passes=4) == Budget(2 * GB, 2 * GB, requested=True)
