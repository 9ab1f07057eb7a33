"""Cutting and emptying a graph that was put together by hand."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from evaluator.export.skeleton import WEIGHTS_FILE, make_skeleton
from evaluator.runtime.device import choose_device
from evaluator.runtime.session import Session
from evaluator.support.errors import ExportError

EMBED, DENSE, HEAD = "model.embed_tokens.weight", "model.dense.weight", "lm_head.weight"
TINY = {EMBED: (5, 3), DENSE: (3, 3), HEAD: (5, 3)}
TRUE = {EMBED: (1100, 3), DENSE: (3, 3), HEAD: (1100, 3)}


def parameters():
    generator = np.random.default_rng(1)
    return {name: generator.standard_normal(shape).astype(np.float32) for name, shape in TINY.items()}


def exported(values, *, head=True):
    """ids → embedding → dense (stored transposed) → head (transposed); and a branch that nothing needs."""
    arrays = {
        "e": values[EMBED],
        "onnx::d": values[DENSE].T,
        "onnx::h": values[HEAD].T,
        "dead": np.ones(3, np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["e", "input_ids"], ["x"]),
        helper.make_node("MatMul", ["x", "onnx::d"], ["y"]),
        helper.make_node("MatMul", ["y", "onnx::h"] if head else ["y", "onnx::d"], ["logits"]),
        helper.make_node("Add", ["unused", "dead"], ["present"]),
    ]
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["b", "s"])
    unused = helper.make_tensor_value_info("unused", TensorProto.FLOAT, [3])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("logits", "present")]
    weights = [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "g", [ids, unused], outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_skeleton_keeps_only_what_the_hidden_states_need():
    values = parameters()
    model, slots = make_skeleton(exported(values), values, TRUE)
    assert [item.name for item in model.graph.input] == ["input_ids", "scored_positions"]
    assert [item.name for item in model.graph.output] == ["final_hidden"]
    assert [item.name for item in model.graph.initializer] == ["e", "onnx::d"]
    assert [(slot.initializer, slot.parameter, slot.transposed, slot.shape) for slot in slots] == [
        ("e", EMBED, False, (1100, 3)),
        ("onnx::d", DENSE, True, (3, 3)),
    ]


def test_slots_start_on_page_borders_and_hold_no_values():
    values = parameters()
    model, slots = make_skeleton(exported(values), values, TRUE)
    assert [(slot.offset, slot.n_bytes) for slot in slots] == [(0, 1100 * 3 * 4), (4 * 4096, 36)]
    for slot, item in zip(slots, model.graph.initializer, strict=True):
        assert {entry.key: entry.value for entry in item.external_data} == {
            "location": WEIGHTS_FILE,
            "offset": str(slot.offset),
            "length": str(slot.n_bytes),
        }
        assert not item.raw_data
        assert tuple(item.dims) == slot.shape


def test_filled_skeleton_computes_hidden_states_of_the_scored_positions(tmp_path):
    values = parameters()
    model, slots = make_skeleton(exported(values), values, TRUE)
    generator = np.random.default_rng(2)
    real = {name: generator.standard_normal(shape).astype(np.float32) for name, shape in TRUE.items()}
    onnx.save(model, str(tmp_path / "skeleton.onnx"))
    with (tmp_path / WEIGHTS_FILE).open("wb") as hole:
        hole.truncate(slots[-1].offset + slots[-1].n_bytes)
    weights = [
        (slot.initializer, real[slot.parameter].T if slot.transposed else real[slot.parameter])
        for slot in slots
    ]
    session = Session(tmp_path / "skeleton.onnx", choose_device("cpu", 1), weights)
    ids, scored = np.array([[1000, 3, 1099]]), np.array([0, 2])
    (found,) = session.run({"input_ids": ids, "scored_positions": scored})
    np.testing.assert_allclose(found[0], real[EMBED][[1000, 1099]] @ real[DENSE].T, rtol=1e-5)


def test_parameter_that_the_export_changed_is_an_error():
    values = parameters()
    model = exported(values)
    with pytest.raises(ExportError, match=r"model\.dense\.weight"):
        make_skeleton(model, values | {DENSE: values[DENSE] * 2}, TRUE)


def test_graph_without_a_head_is_an_error():
    values = parameters()
    with pytest.raises(ExportError, match="no output matrix"):
        make_skeleton(exported(values, head=False), values, TRUE)
