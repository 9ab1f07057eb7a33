"""Half precision on the CPU provider, which computes it too: against float64 numpy, and what the graph looks like."""

from __future__ import annotations

from collections import Counter

import gguf
import numpy as np
import onnx
import pytest
from family_files import write_family
from family_models import FAMILIES
from numpy_llama import final_hidden
from onnx import TensorProto
from passes import hidden_of
from tiny_models import write_tiny_llama

from evaluator.export.exact.graph import Graph, load_graph
from evaluator.export.fusion.half import as_half, halve
from evaluator.export.fusion.uses import fused_body, score_late
from evaluator.export.packing.artifact import MODEL_FILE, write_decoder
from evaluator.export.packing.nodes import EXACT_PRODUCTS
from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime.decoding import Decoder
from evaluator.runtime.device import choose_device
from evaluator.support.errors import ExportError, SourceError
from evaluator.texts.windows import Window

pytestmark = pytest.mark.usefixtures("exporting_here")

CPU = choose_device("cpu", 1)
IDS = np.random.default_rng(5).integers(0, 256, 24).astype(np.int32)
WINDOW = Window(0, "d", IDS, 12)


def distance(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.fixture(scope="module")
def halved(tiny_graph):
    """The graph of the tiny model in half precision."""
    body = fused_body(tiny_graph.fused)
    score_late(body)
    return halve(body.model, {slot.initializer for slot in tiny_graph.slots}).graph


def test_hidden_states_are_those_of_float64_but_for_rounding_to_halves(tiny, tiny_graph):
    final = hidden_of(tiny, tiny_graph, CPU, WINDOW, half=True)
    expected = final_hidden(tiny.dequantize, IDS)[12:23]
    assert 1e-5 < distance(final, expected) < 2e-3
    assert final.dtype == np.float32


def test_matrices_are_halves_and_the_residual_stream_is_not(tiny_graph, halved):
    types = {item.name: item.data_type for item in halved.initializer}
    for slot in tiny_graph.fused.slots:
        is_factor = len(slot.shape) == 2 and "embed_tokens" not in slot.parameter
        assert types[slot.initializer] == (TensorProto.FLOAT16 if is_factor else TensorProto.FLOAT)
    assert {item.type.tensor_type.elem_type for item in halved.output} == {TensorProto.FLOAT}
    made = {name: node for node in halved.node for name in node.output}
    for node in halved.node:
        if node.op_type == "SkipSimplifiedLayerNormalization":
            assert not any(name.endswith("/half") for name in node.input)
        if node.op_type == "GroupQueryAttention":
            assert all(made[name].op_type != "MatMul" or name.endswith("/half") for name in node.input[:3])
            assert len(node.output) == 3  # CUDA's kernel writes the present keys and values, wanted or not


def test_nothing_is_cast_there_and_back(halved):
    casts = {node.output[0]: node for node in halved.node if node.op_type == "Cast"}
    kinds = Counter(node.attribute[0].i for node in casts.values())
    # Per layer: into query, key and value; into gate and up; into down. And two tables.
    assert kinds[TensorProto.FLOAT16] == 2 * 3 + 2
    # Per layer: out of the output projection, gate, up, down.
    assert kinds[TensorProto.FLOAT] == 2 * 4
    assert not any(node.input[0] in casts for node in casts.values())


@pytest.mark.parametrize("name", ["smollm3", "phi3", "gemma3", "qwen2 with experts"])
def test_families_stay_close(name, tmp_path):
    """Layers without rotary; packed query, key and value; norms of queries and behind layers; experts."""
    file = open_gguf(write_family(FAMILIES[name], tmp_path / "f.gguf"))
    graph = load_graph(file)
    ids = np.random.default_rng(9).integers(0, 256, 64).astype(np.int32)
    window = Window(0, "d", ids, 32)
    found = hidden_of(file, graph, CPU, window, half=True)
    assert 1e-5 < distance(found, hidden_of(file, graph, CPU, window, fused=False)) < 4e-3


def test_biases_of_query_key_and_value_are_added(tmp_path):
    file = open_gguf(write_tiny_llama(tmp_path / "q.gguf", architecture="qwen2"))
    graph = load_graph(file)
    found = hidden_of(file, graph, CPU, WINDOW, half=True)
    assert distance(found, hidden_of(file, graph, CPU, WINDOW, fused=False)) < 2e-3


def test_rounding_to_halves_knows_their_range():
    values = np.array([1 + 2**-11, 65504, -np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(as_half(values), np.array([1, 65504, -np.inf, np.nan], np.float16))
    with pytest.raises(ValueError, match=r"^1 values are too large for float16"):
        as_half(np.array([1e5, np.inf], np.float32))


def test_weights_beyond_halves_are_refused(tiny_graph, tmp_path):
    file = open_gguf(write_tiny_llama(tmp_path / "m.gguf", noise=1e5))
    with pytest.raises(SourceError, match=r"proj.weight: \d+ values are too large for float16"):
        hidden_of(file, tiny_graph, CPU, WINDOW, half=True)
    with pytest.raises(ExportError, match=r"weight: \d+ values are too large for float16"):
        write_decoder(file, tiny_graph, tmp_path / "out", half=True)
    assert not (tmp_path / "out" / "weights.bin").exists()


def test_plain_graph_has_no_half_precision(tiny, tiny_graph):
    plain = Graph(tiny_graph.path, tiny_graph.slots, None, "unknown attention")
    with pytest.raises(ExportError, match="needs a fused graph: unknown attention"):
        hidden_of(tiny, plain, CPU, WINDOW, half=True)


def decoded(folder):
    decoder = Decoder(folder / MODEL_FILE, CPU, len(IDS))
    steps = [IDS[:7], *IDS[7:, None]]
    return np.stack([decoder.step(ids).copy() for ids in steps])


@pytest.mark.parametrize("kind", ["F32", "BF16", "Q4_0", "Q4_1", "Q8_0"])
def test_artifact_of_halves_decodes_the_logits_of_numpy(tiny_graph, tmp_path, kind):
    path = write_tiny_llama(tmp_path / f"Tiny-{kind}.gguf", ggml_type=gguf.GGMLQuantizationType[kind])
    file = open_gguf(path)
    write_decoder(file, tiny_graph, tmp_path, accuracy_level=EXACT_PRODUCTS, half=True)
    graph = onnx.load(str(tmp_path / MODEL_FILE), load_external_data=False).graph
    cache = [item for item in (*graph.input, *graph.output) if item.name.startswith(("past", "present"))]
    assert {item.type.tensor_type.elem_type for item in cache} == {TensorProto.FLOAT16}
    expected = final_hidden(file.dequantize, IDS) @ file.dequantize("token_embd.weight").T.astype(np.float64)
    assert 1e-5 < distance(decoded(tmp_path), expected[6:]) < 3e-3


def test_scales_of_an_artifact_are_halves_as_they_lie_in_the_file(tiny_graph, tmp_path):
    """Nothing is cast from float32 when it is loaded, but for the offsets, which are few."""
    path = write_tiny_llama(tmp_path / "Tiny-Q4_0.gguf", ggml_type=gguf.GGMLQuantizationType.Q4_0)
    write_decoder(open_gguf(path), tiny_graph, tmp_path, half=True)
    graph = onnx.load(str(tmp_path / MODEL_FILE), load_external_data=False).graph
    types = {item.name: item.data_type for item in graph.initializer}
    products = [node for node in graph.node if node.op_type == "MatMulNBits"]
    assert {types[node.input[2]] for node in products} == {TensorProto.FLOAT16}
