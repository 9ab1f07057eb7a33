"""The graph that turns final hidden states into a handful of numbers per token.

Logits, log-softmax, gather and divergence happen inside it: a vocabulary-sized array exists for one block of
rows at a time and never leaves onnxruntime. The baseline's whole distribution is its final hidden state times
its head, so 4 × hidden bytes per token carry it to every variant exactly.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

BASELINE_HEAD, VARIANT_HEAD = "baseline_head", "variant_head"
BASELINE_HIDDEN, VARIANT_HIDDEN = "baseline_hidden", "variant_hidden"
TARGETS = "targets"
LIKELIHOOD_OUTPUTS = ("nll", "top_prob")
DIVERGENCE_OUTPUTS = ("kld", "same_top")

_OPSET = 18
_IR_VERSION = 8


def _distribution(side: str, hidden: str, head: str) -> list[onnx.NodeProto]:
    """Log-probabilities float32 [rows, vocabulary] from hidden [rows, width] and head [vocabulary, width]."""
    return [
        helper.make_node("Gemm", [hidden, head], [f"{side}_logits"], transB=1),
        helper.make_node("LogSoftmax", [f"{side}_logits"], [f"{side}_logp"], axis=-1),
    ]


def _likelihood() -> list[onnx.NodeProto]:
    return [
        helper.make_node("GatherElements", ["variant_logp", TARGETS], ["target_logp"], axis=1),
        helper.make_node("Neg", ["target_logp"], ["nll"]),
        helper.make_node("ReduceMax", ["variant_logp", "last_axis"], ["top_logp"], keepdims=1),
        helper.make_node("Exp", ["top_logp"], ["top_prob"]),
    ]


def _divergence() -> list[onnx.NodeProto]:
    """KL(baseline ‖ variant) = Σ p_b (ln p_b − ln p_v), in nats, and whether both prefer the same token."""
    return [
        helper.make_node("Exp", ["baseline_logp"], ["baseline_p"]),
        helper.make_node("Sub", ["baseline_logp", "variant_logp"], ["log_ratio"]),
        helper.make_node("Mul", ["baseline_p", "log_ratio"], ["terms"]),
        helper.make_node("ReduceSum", ["terms", "last_axis"], ["kld"], keepdims=1),
        helper.make_node("ArgMax", ["baseline_logp"], ["baseline_top"], axis=1, keepdims=1),
        helper.make_node("ArgMax", ["variant_logp"], ["variant_top"], axis=1, keepdims=1),
        helper.make_node("Equal", ["baseline_top", "variant_top"], ["same_top"]),
    ]


def score_graph(vocabulary: int, hidden: int, *, against_baseline: bool) -> onnx.ModelProto:
    """Build the scoring model.

    Inputs: `variant_hidden` (and `baseline_hidden`) float32 [rows, hidden], the heads `variant_head` (and
    `baseline_head`) float32 [vocabulary, hidden], `targets` int64 [rows, 1].
    Outputs, each [rows, 1]: `nll` (nats), `top_prob`, and with a baseline `kld` (nats) and `same_top`.
    """
    sides = [("variant", VARIANT_HIDDEN, VARIANT_HEAD)]
    if against_baseline:
        sides.append(("baseline", BASELINE_HIDDEN, BASELINE_HEAD))
    nodes = [node for side in sides for node in _distribution(*side)] + _likelihood()
    names = list(LIKELIHOOD_OUTPUTS)
    if against_baseline:
        nodes += _divergence()
        names += DIVERGENCE_OUTPUTS
    inputs = [helper.make_tensor_value_info(TARGETS, TensorProto.INT64, ["rows", 1])]
    for _, states, head in sides:
        inputs.append(helper.make_tensor_value_info(states, TensorProto.FLOAT, ["rows", hidden]))
        inputs.append(helper.make_tensor_value_info(head, TensorProto.FLOAT, [vocabulary, hidden]))
    outputs = [
        helper.make_tensor_value_info(
            name, TensorProto.BOOL if name == "same_top" else TensorProto.FLOAT, ["rows", 1]
        )
        for name in names
    ]
    last_axis = helper.make_tensor("last_axis", TensorProto.INT64, [1], [-1])
    graph = helper.make_graph(nodes, "score", inputs, outputs, [last_axis])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
