"""A model cut into pieces: their structure, and that together they are the model."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import pytest
from family_models import FAMILIES, write_family
from numpy_llama import final_hidden
from passes import hidden_of
from tiny_models import write_tiny_llama

from evaluator.export.exact.graph import load_graph
from evaluator.export.piece_model import with_past, with_whole_scores
from evaluator.export.pieces import cut
from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime.device import choose_device
from evaluator.support.errors import ExportError
from evaluator.texts.windows import Window

pytestmark = pytest.mark.usefixtures("exporting_here")

CPU = choose_device("cpu", 1)
IDS = np.random.default_rng(5).integers(0, 256, 24).astype(np.int32)
WINDOW = Window(0, "d", IDS, 12)


def test_a_layer_has_two_parts_and_all_layers_share_their_models(tiny_graph):
    pieces = cut(tiny_graph)
    layers = [(part, layer) for layer in range(2) for part in ("attention", "feed_forward")]
    assert [(p.part, p.layer) for p in pieces] == [("embedding", -1), *layers, ("norm", -1)]
    assert len({piece.model for piece in pieces}) == 4
    assert [piece.positionwise for piece in pieces] == [True, False, True, False, True, True]
    assert pieces[1].name == "layer 0, attention"


def test_pieces_hold_each_parameter_once_in_the_files_order(tiny_graph):
    weights = [weight for piece in cut(tiny_graph) for weight in piece.weights.values()]
    parameters = Counter(weight.slot.parameter for weight in weights)
    assert parameters == Counter(slot.parameter for slot in tiny_graph.fused.slots)
    matrices = [weight for weight in weights if weight.slot.transposed]
    assert len(matrices) == 2 * 7
    assert all(weight.as_stored for weight in matrices)
    assert sum(weight.n_bytes for weight in weights) == sum(slot.n_bytes for slot in tiny_graph.fused.slots)


def test_half_precision_halves_matrices_only(tiny_graph):
    weights = [weight for piece in cut(tiny_graph, half=True)[1:] for weight in piece.weights.values()]
    assert {len(weight.slot.shape) for weight in weights if weight.half} == {2}
    assert {len(weight.slot.shape) for weight in weights if not weight.half} == {1}


def test_no_piece_holds_a_weight(tiny_graph):
    for piece in cut(tiny_graph, fused=False):
        sizes = [np.prod(item.dims) for item in onnx.load_from_string(piece.model).graph.initializer]
        assert max(sizes, default=0) < 256


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "plain"])
def test_pieces_compute_the_model(tiny, tiny_graph, fused):
    found = hidden_of(tiny, tiny_graph, CPU, WINDOW, fused=fused)
    np.testing.assert_allclose(found, final_hidden(tiny.dequantize, IDS)[12:23], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_family_can_be_cut(name, tmp_path):
    graph = load_graph(open_gguf(write_family(FAMILIES[name], tmp_path / "f.gguf")))
    parts = {piece.part for piece in cut(graph)} - {"embedding", "norm"}
    # In phi3 the gate is a slice of a matrix, by sizes that are computed: not shown to be the same for any positions.
    assert parts == ({"layer"} if name.startswith("phi3") else {"attention", "feed_forward"})


def test_a_changed_attention_continues_or_holds_all_scores(tiny_graph):
    model = cut(tiny_graph)[1].model
    continuing = onnx.load_from_string(with_past(model)).graph
    assert {"past_key", "past_value"} <= {item.name for item in continuing.input}
    assert {"present_key", "present_value"} <= {item.name for item in continuing.output}
    (node,) = (n for n in onnx.load_from_string(with_whole_scores(model)).graph.node if "Group" in n.op_type)
    assert len(node.output) == 1


def test_biases_travel_with_their_piece(tmp_path):
    file = open_gguf(write_tiny_llama(tmp_path / "q.gguf", architecture="qwen2"))
    attention = cut(load_graph(file))[1]
    parameters = {weight.slot.parameter.split(".", 3)[-1] for weight in attention.weights.values()}
    assert {"self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"} <= parameters


def test_a_graph_without_a_known_stream_is_refused(tiny_graph):
    unknown = replace(tiny_graph, fused=None, residuals=(), plain_reason="the norm is odd")
    with pytest.raises(ExportError, match="cannot be run layer by layer: the norm is odd"):
        cut(unknown)
    with pytest.raises(ExportError, match="half precision needs a fused graph: the norm is odd"):
        cut(unknown, half=True)
