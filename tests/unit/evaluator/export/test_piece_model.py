"""Nodes of a piece do not depend on the layer that they were cut from."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from evaluator.export.piece_model import SQUARES, add_squares, renamed


def nodes_of(layer):
    shape = numpy_helper.from_array(np.array([0, 4], np.int64), f"layers.{layer}/Constant_attr::value")
    return [
        helper.make_node("Constant", [], [f"{layer}/shape"], name=f"{layer}/Constant", value=shape),
        helper.make_node("Reshape", ["x", f"{layer}/shape"], ["y"], name=f"{layer}/Reshape", doc_string="d"),
    ]


def test_layers_of_the_same_structure_have_the_same_nodes():
    first, second = (
        [node.SerializeToString() for node in renamed(nodes_of(layer), {"x": "stream", "y": "output"})]
        for layer in (3, 12)
    )
    assert first == second
    constant, _ = renamed(nodes_of(3), {})
    np.testing.assert_array_equal(numpy_helper.to_array(constant.attribute[0].t), [0, 4])


def test_squares_of_what_enters_a_matrix_once_and_twice():
    """The once-read matrix gets x, the twice-read one x and then what it made of x."""
    nodes = [
        helper.make_node("MatMul", ["x", "once"], ["y"]),
        helper.make_node("MatMul", ["x", "twice"], ["z"]),
        helper.make_node("MatMul", ["z", "twice"], ["output"]),
    ]
    generator = np.random.default_rng(0)
    once, twice, x = (
        generator.standard_normal(shape).astype(np.float32) for shape in ((3, 3), (3, 3), (2, 4, 3))
    )
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 4, 3])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(once, "once"), numpy_helper.from_array(twice, "twice")],
    )
    add_squares(graph, {"once", "twice"})
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = dict(zip([item.name for item in session.get_outputs()], session.run(None, {"x": x}), strict=True))
    first, second = ((values**2).sum(axis=(0, 1)) for values in (x, x @ twice))
    np.testing.assert_allclose(found[f"{SQUARES}once"], first, rtol=1e-5)
    np.testing.assert_allclose(found[f"{SQUARES}twice"], (first + second) / 2, rtol=1e-5)
