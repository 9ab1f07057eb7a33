"""Pieces on a device: long windows in chunks, short ones whole, and rows of streams."""

from __future__ import annotations

import numpy as np
import pytest
from family_files import write_family
from family_models import FAMILIES
from numpy_llama import final_hidden
from passes import hidden_of

from evaluator.export.exact.graph import load_graph
from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime import layered_model
from evaluator.runtime.device import Device, choose_device
from evaluator.runtime.layered_model import LayeredModel
from evaluator.texts.windows import Window

pytestmark = pytest.mark.usefixtures("exporting_here")

CPU = choose_device("cpu", 2)
LENGTH = 150
IDS = np.random.default_rng(7).integers(0, 200, LENGTH).astype(np.int32)
WINDOW = Window(0, "d", IDS, 75)


@pytest.mark.parametrize("name", ["llama", "gemma2", "gemma3", "smollm3", "phi3"])
def test_chunks_of_a_long_window_are_the_whole_window(name, tmp_path, monkeypatch):
    """Soft caps, sliding windows shorter than a chunk, layers without rotary, packed queries, keys and values."""
    file = open_gguf(write_family(FAMILIES[name], tmp_path / "f.gguf"))
    graph = load_graph(file)
    whole = hidden_of(file, graph, CPU, WINDOW)
    monkeypatch.setattr(layered_model, "CHUNK", 64)
    chunks = []
    run = layered_model.Session.run_into
    monkeypatch.setattr(
        layered_model.Session, "run_into", lambda self, i, o: chunks.append(i) or run(self, i, o)
    )
    found = hidden_of(file, graph, CPU, WINDOW)
    np.testing.assert_allclose(found, whole, rtol=1e-4, atol=3e-5)
    assert any("past_key" in inputs for inputs in chunks)
    streams = [inputs["stream"] for inputs in chunks if "weight_0" in inputs and "rows" not in inputs]
    assert (
        max(stream.shape[1] for stream in streams if isinstance(stream, np.ndarray) and stream.ndim == 3)
        == 64
    )


def test_scores_under_a_soft_cap_are_held_for_fewer_positions(tmp_path, monkeypatch):
    file = open_gguf(write_family(FAMILIES["gemma2"], tmp_path / "f.gguf"))
    model = LayeredModel(load_graph(file), CPU)
    attention = model.pieces[1]
    assert attention.heads_held > 0
    monkeypatch.setattr(layered_model, "_CHUNK_SCORES", 4 * attention.heads_held * LENGTH * 10)
    assert layered_model.chunk_size(attention, LENGTH) == 10
    assert layered_model.chunk_size(model.pieces[2], LENGTH) == layered_model.CHUNK


@pytest.mark.parametrize("length", [512, 514])
def test_short_and_long_windows_equal_numpy(tiny, tiny_graph, length):
    """Up to 512 tokens the kernel holds all scores, then blocks of them."""
    ids = np.random.default_rng(3).integers(0, 200, length).astype(np.int32)
    found = hidden_of(tiny, tiny_graph, CPU, Window(0, "d", ids, length - 9))
    expected = final_hidden(tiny.dequantize, ids)[length - 9 : length - 1]
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-4)


def test_a_gpu_computes_float32_in_the_plain_graph(tiny_graph):
    gpu = Device("cuda", "CPUExecutionProvider", 1)
    assert not LayeredModel(tiny_graph, gpu).is_fused
    assert LayeredModel(tiny_graph, gpu, half=True).is_fused
    assert LayeredModel(tiny_graph, CPU).is_fused


def test_sessions_are_as_many_as_structures(tiny_graph):
    model = LayeredModel(tiny_graph, CPU)
    assert len(model._sessions) == 4
    assert (model.n_layers, model.hidden) == (2, 256)
    assert model.n_weights == sum(int(np.prod(slot.shape)) for slot in tiny_graph.fused.slots) - 263 * 256


def test_rows_of_a_stream(tiny_graph):
    model = LayeredModel(tiny_graph, CPU)
    values = np.random.default_rng(0).standard_normal((2, 5, 256)).astype(np.float32)
    stream = model.empty((2, 5, 256))
    stream.update_inplace(values)
    np.testing.assert_array_equal(model.rows(stream, np.array([4, 1])).numpy(), values[:, [4, 1]])
