"""Which nodes treat each position on its own."""

from __future__ import annotations

import pytest
from onnx import helper

from evaluator.export.fusion.positionwise import is_positionwise


@pytest.mark.parametrize(
    ("operator", "inputs", "expected"),
    [
        ("MatMul", ["x", "w"], True),
        ("MatMul", ["w", "x"], False),
        ("MatMul", ["x", "y"], False),
        ("Mul", ["x", "y"], True),
        ("Softmax", ["x"], False),
    ],
)
def test_products_with_weights_and_elementwise_nodes_do_not_mix_positions(operator, inputs, expected):
    nodes = [helper.make_node("Add", ["a", "b"], ["x"]), helper.make_node(operator, inputs, ["z"])]
    assert is_positionwise(nodes, {"w"}) is expected
