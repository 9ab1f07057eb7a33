"""Cutting and emptying a graph that was put together by hand."""

from __future__ import annotations

import numpy as np
import pytest
from filled_graphs import filled
from onnx import TensorProto, helper, numpy_helper

from evaluator.export.skeleton import WEIGHTS_FILE, make_skeleton, prune, sink_initializers, values_read
from evaluator.models.architectures.rotary import ROTARY_FREQUENCIES
from evaluator.runtime.device import choose_device
from evaluator.support.errors import ExportError

EMBED, DENSE, NORM, HEAD = (
    "model.embed_tokens.weight",
    "model.dense.weight",
    "model.norm.weight",
    "lm_head.weight",
)
SHAPES = {EMBED: (1100, 3), DENSE: (4, 3), NORM: (4,), HEAD: (1100, 4)}
FREQUENCIES = {ROTARY_FREQUENCIES: np.array([0.5, 0.25], np.float32)}


def constant(name, values):
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(values)))


def transposed(name):
    return helper.make_node("Transpose", [name], [f"{name}/t"], perm=[1, 0])


def exported(*, head=True, offset=None, dense=DENSE):
    """ids → embedding → dense → · norm (+ offset) → head; a cosine of frequencies; a branch that nothing needs."""
    gain = [constant("offset", np.float32(offset)), helper.make_node("Add", ["offset", NORM], ["gain"])]
    nodes = [
        helper.make_node("Gather", [EMBED, "input_ids"], ["x"]),
        transposed(dense),
        helper.make_node("MatMul", ["x", f"{dense}/t"], ["y"]),
        *(gain if offset else []),
        helper.make_node("Mul", ["gain" if offset else NORM, "y"], ["z"]),
        constant("f", FREQUENCIES[ROTARY_FREQUENCIES]),
        helper.make_node("Cos", ["f"], ["c"]),
        helper.make_node("ReduceMax", ["c"], ["m"], keepdims=0),
        helper.make_node("Mul", ["z", "m"], ["h"]),
        transposed(HEAD),
        helper.make_node("MatMul", ["h", f"{HEAD}/t"] if head else ["h", "h"], ["logits"]),
        helper.make_node("Identity", ["unused"], ["present"]),
    ]
    if not head:
        nodes = [node for node in nodes if HEAD not in node.input]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (*SHAPES, "unused")]
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["b", "s"])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("logits", "present")]
    graph = helper.make_graph(nodes, "g", [ids, *infos], outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_skeleton_keeps_only_what_the_hidden_states_need():
    model, slots = make_skeleton(exported(), SHAPES, FREQUENCIES)
    assert [item.name for item in model.graph.input] == ["input_ids", "scored_positions"]
    assert [item.name for item in model.graph.output] == ["final_hidden"]
    assert "Transpose" not in [node.op_type for node in model.graph.node]
    assert [(slot.initializer, slot.parameter, slot.transposed, slot.shape) for slot in slots] == [
        (EMBED, EMBED, False, (1100, 3)),
        (DENSE, DENSE, True, (3, 4)),
        (NORM, NORM, False, (4,)),
        ("f", ROTARY_FREQUENCIES, False, (2,)),
    ]


def test_slots_start_on_page_borders_and_hold_no_values():
    model, slots = make_skeleton(exported(), SHAPES, FREQUENCIES)
    assert [(slot.offset, slot.n_bytes) for slot in slots] == [
        (0, 1100 * 3 * 4),
        (4 * 4096, 48),
        (5 * 4096, 16),
        (6 * 4096, 8),
    ]
    for slot, item in zip(slots, model.graph.initializer, strict=True):
        assert {entry.key: entry.value for entry in item.external_data} == {
            "location": WEIGHTS_FILE,
            "offset": str(slot.offset),
            "length": str(slot.n_bytes),
        }
        assert not item.raw_data
        assert tuple(item.dims) == slot.shape


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_filled_skeleton_computes_hidden_states_of_the_scored_positions(offset):
    """With an offset, slots hold the sum of it and the parameter, as GGUF files do."""
    model, slots = make_skeleton(exported(offset=offset), SHAPES, FREQUENCIES, offset)
    generator = np.random.default_rng(2)
    real = {name: generator.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
    real[ROTARY_FREQUENCIES] = np.array([0.0, 0.5], np.float32)
    weights = {
        slot.initializer: real[slot.parameter].T if slot.transposed else real[slot.parameter]
        for slot in slots
    }
    session = filled(model, choose_device("cpu", 1), weights)
    ids, scored = np.array([[1000, 3, 1099]]), np.array([0, 2])
    (found,) = session.run({"input_ids": ids, "scored_positions": scored})
    expected = real[EMBED][[1000, 1099]] @ real[DENSE].T * real[NORM]  # the larger cosine is 1
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)


def test_parameter_that_the_graph_does_not_have_is_an_error():
    with pytest.raises(ExportError, match=r"model\.dense\.weight"):
        make_skeleton(exported(dense="another"), SHAPES, FREQUENCIES)


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_norm_without_the_expected_offset_is_an_error(offset):
    with pytest.raises(ExportError, match=r"does not add 1 to model\.norm\.weight"):
        make_skeleton(exported(offset=offset), SHAPES, FREQUENCIES, 1.0)


def test_frequencies_that_the_graph_does_not_have_are_an_error():
    with pytest.raises(ExportError, match="rotary frequencies"):
        make_skeleton(exported(), SHAPES, {ROTARY_FREQUENCIES: np.ones(2, np.float32)})


def test_graph_without_a_head_is_an_error():
    with pytest.raises(ExportError, match="no output matrix"):
        make_skeleton(exported(head=False), SHAPES, FREQUENCIES)


def _choice(then, otherwise):
    """A node that is `then` or `otherwise`, lists of nodes whose last output is that of the branch."""
    graphs = [
        helper.make_graph(
            nodes, "branch", [], [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)]
        )
        for nodes in (then, otherwise)
    ]
    return helper.make_node("If", ["asked"], ["y"], then_branch=graphs[0], else_branch=graphs[1])


def test_initializers_of_one_branch_move_into_it_however_deep_and_others_stay():
    inner = _choice(
        [helper.make_node("Add", ["x", "deep"], ["a"])], [helper.make_node("Add", ["x", "shared"], ["b"])]
    )
    inner.output[0] = "c"
    outer = _choice(
        [inner, helper.make_node("Add", ["c", "own"], ["d"])], [helper.make_node("Neg", ["shared"], ["e"])]
    )
    names = ("deep", "own", "shared", "plain")
    weights = [numpy_helper.from_array(np.ones(2, np.float32), name) for name in names]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]),
        helper.make_tensor_value_info("asked", TensorProto.BOOL, [1]),
    ]
    result = helper.make_tensor_value_info("z", TensorProto.FLOAT, [2])
    last = helper.make_node("Add", ["y", "plain"], ["z"])
    graph = helper.make_graph([outer, last], "g", inputs, [result], weights)
    assert {*values_read(outer)} == {"asked", "x", "deep", "own", "shared"}
    sink_initializers(graph)
    assert [item.name for item in graph.initializer] == ["shared", "plain"]
    then = next(item.g for item in graph.node[0].attribute if item.name == "then_branch")
    assert [item.name for item in then.initializer] == ["own"]
    deepest = next(item.g for item in then.node[0].attribute if item.name == "then_branch")
    assert [item.name for item in deepest.initializer] == ["deep"]
    prune(graph)
    assert len(graph.initializer) == 2
