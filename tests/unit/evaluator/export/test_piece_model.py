"""Nodes of a piece do not depend on the layer that they were cut from."""

from __future__ import annotations

import numpy as np
from onnx import helper, numpy_helper

from evaluator.export.piece_model import renamed


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
