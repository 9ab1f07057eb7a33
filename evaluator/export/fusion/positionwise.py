"""Tell which nodes treat each position of a window on its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import onnx

from evaluator.export.fusion.norms import NORM, SKIP_NORM

_OPERATORS = {
    "Add",
    "Mul",
    "Sigmoid",
    "Tanh",
    "Erf",
    "Sub",
    "Div",
    "Pow",
    "Gelu",
    "Cast",
    "Constant",
    NORM,
    SKIP_NORM,
}


def is_positionwise(nodes: Iterable[onnx.NodeProto], weights: Collection[str]) -> bool:
    """Return whether no node mixes positions; a matrix product does not if its second input is a weight."""
    return all(
        node.op_type in _OPERATORS or (node.op_type == "MatMul" and node.input[1] in weights)
        for node in nodes
    )
