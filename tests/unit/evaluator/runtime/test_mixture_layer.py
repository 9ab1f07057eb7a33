"""Experts run one by one: in blocks of windows, from memory or disk, interrupted or not."""

from __future__ import annotations

from dataclasses import replace

import gguf
import numpy as np
import pytest
from passes import hidden_of
from tiny_mixtures import EXPERTS, HIDDEN, USED, WIDTH, write_tiny_mixture

from evaluator.export.exact.graph import load_graph
from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime import mixture_layer
from evaluator.runtime.device import choose_device
from evaluator.runtime.forward_pass import ForwardPass, shape_of
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.memory_plan import Budget, MemoryPlan, block_bytes, expert_bytes, plan_memory
from evaluator.runtime.mixture_layer import MixtureLayer, blocks
from evaluator.runtime.pass_checkpoint import PassCheckpoint
from evaluator.runtime.piece_weights import WeightReader
from evaluator.runtime.scoring import final_states
from evaluator.runtime.streams import StreamsInMemory
from evaluator.support.errors import ComputeError
from evaluator.texts.windows import Window

pytestmark = pytest.mark.usefixtures("exporting_here")

CPU = choose_device("cpu", 1)
WINDOWS = [
    Window(index, "d", ids, 8)
    for index, ids in enumerate(np.random.default_rng(3).integers(0, 256, (5, 24)).astype(np.int32))
]
IN_MEMORY, ON_DISK = MemoryPlan("device", True, 0, 0), MemoryPlan("disk", False, 0, 0)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return open_gguf(write_tiny_mixture(tmp_path_factory.mktemp("mixture") / "m.gguf"))


@pytest.fixture(scope="module")
def model(file):
    return LayeredModel(load_graph(file), CPU)


@pytest.fixture(scope="module")
def expected(model, file):
    return final_states(ForwardPass(model, file, WINDOWS, IN_MEMORY))


def test_groups_enter_the_experts_together_as_far_as_they_fit(monkeypatch):
    monkeypatch.setattr(mixture_layer, "BLOCK_BYTES", 4 * 100)
    assert blocks([(1, 5, 10)] * 5) == [range(2), range(2, 4), range(4, 5)]
    assert blocks([(1, 50, 10), (1, 5, 10)]) == [range(1), range(1, 2)]


@pytest.mark.parametrize("plan", [IN_MEMORY, ON_DISK], ids=["memory", "disk"])
@pytest.mark.parametrize("block", [1, 1 << 30])
def test_blocks_and_disk_give_the_same(model, file, expected, plan, block, tmp_path, monkeypatch):
    monkeypatch.setattr(mixture_layer, "BLOCK_BYTES", block)
    checkpoint = PassCheckpoint(tmp_path, "p", "")
    found = final_states(ForwardPass(model, file, WINDOWS, plan, checkpoint=checkpoint))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_window_alone_gives_the_same(model, file, expected):
    found = hidden_of(file, load_graph(file), CPU, WINDOWS[3])
    np.testing.assert_allclose(found, expected[3], rtol=0, atol=1e-5)


def test_pass_continues_behind_the_last_finished_mixture(model, file, tmp_path):
    whole = final_states(
        ForwardPass(model, file, WINDOWS, ON_DISK, checkpoint=PassCheckpoint(tmp_path, "whole", "x"))
    )
    shown = []

    def stop(share, where):
        shown.append(share)
        if share > 0.8:  # in the last of four pieces, layer 1's mixture
            raise KeyboardInterrupt

    checkpoint = PassCheckpoint(tmp_path, "p", "x")
    with pytest.raises(KeyboardInterrupt):
        final_states(ForwardPass(model, file, WINDOWS, ON_DISK, checkpoint=checkpoint, advance=stop))
    assert shown == sorted(shown)
    assert checkpoint.load().done == 4  # embedding, layer 0, layer 1's attention
    again = ForwardPass(model, file, WINDOWS, ON_DISK, checkpoint=checkpoint)
    np.testing.assert_array_equal(final_states(again), whole)


def test_only_experts_that_a_token_chose_are_read(model, file, monkeypatch):
    read = []
    original = WeightReader.expert
    monkeypatch.setattr(
        WeightReader,
        "expert",
        lambda self, experts, number: read.append(number) or original(self, experts, number),
    )
    one = replace(WINDOWS[0], ids=WINDOWS[0].ids[:2], first_scored=0)
    final_states(ForwardPass(model, file, [one], IN_MEMORY))
    assert 2 * 2 <= len(read) <= 2 * 2 * 2 < 2 * EXPERTS


def test_quantized_experts_are_near(model, file, expected, tmp_path):
    quantized = open_gguf(write_tiny_mixture(tmp_path / "q.gguf", ggml_type=gguf.GGMLQuantizationType.Q8_0))
    found = final_states(ForwardPass(model, quantized, WINDOWS, IN_MEMORY))
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert 1e-4 < error < 0.1


@pytest.mark.parametrize("apart", [False, True])
def test_groups_can_be_multiplied_apart(model, file, monkeypatch, apart):
    """Products of other sizes may round differently."""
    rows = []
    run_expert = LayeredModel.run_expert
    monkeypatch.setattr(
        LayeredModel,
        "run_expert",
        lambda self, experts, x, w: rows.append(len(x)) or run_expert(self, experts, x, w),
    )
    piece = next(piece for piece in model.pieces if piece.experts)
    reader = WeightReader(file)
    streams = StreamsInMemory(model.empty)
    for group in range(3):
        streams.put(group, model.embed(reader, WINDOWS[0].ids[None]))
    norm = model.on_device(reader.read(piece))
    MixtureLayer.of(model, piece, reader, apart=apart).run(streams, [(1, 24, HIDDEN)] * 3, norm)
    assert sum(rows) == 3 * 24 * USED
    in_threes = all(rows[at] == rows[at + 1] == rows[at + 2] for at in range(0, len(rows) - 2, 3))
    assert in_threes == apart
    first = streams.get(0).numpy()
    for group in (1, 2):
        np.testing.assert_array_equal(streams.get(group).numpy(), first)


def test_memory_holds_an_expert_and_the_blocks(model, file):
    shape = shape_of(model, WINDOWS)
    expert = 4 * 3 * 64 * WIDTH
    assert expert_bytes(model) == expert
    tokens = 5 * 24
    assert block_bytes(model, shape) == 2 * 4 * tokens * HIDDEN + 5 * 8 * tokens * EXPERTS
    plan = plan_memory(model, file, shape, Budget(10**10, 10**10))
    assert plan.piece_bytes == expert + max(piece.n_bytes for piece in model.pieces[1:])


def test_a_dense_piece_is_not_a_mixture(model, file):
    with pytest.raises(ComputeError, match="layer 0, attention has no experts"):
        MixtureLayer.of(model, model.pieces[1], WeightReader(file))
