"""Build the nodes for the soft cap that some families put on their logits."""

from __future__ import annotations

import onnx
from onnx import helper


def softcap_nodes(logits: str, capped: str, cap: float) -> list[onnx.NodeProto]:
    """Return nodes that compute `capped` = cap · tanh(`logits` / cap)."""
    constant, ratio, tanh = (f"{capped}_{part}" for part in ("cap", "ratio", "tanh"))
    return [
        helper.make_node("Constant", [], [constant], value_float=cap),
        helper.make_node("Div", [logits, constant], [ratio]),
        helper.make_node("Tanh", [ratio], [tanh]),
        helper.make_node("Mul", [tanh, constant], [capped]),
    ]
