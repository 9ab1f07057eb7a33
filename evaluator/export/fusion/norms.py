"""Fuse RMS norms: seven nodes become one, which also takes over the residual addition before it."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import helper

from evaluator.export.fusion.dataflow import Dataflow, attribute, replace_nodes

CONTRIB = "com.microsoft"
NORM, SKIP_NORM = "SimplifiedLayerNormalization", "SkipSimplifiedLayerNormalization"


@dataclass(frozen=True)
class _Norm:
    data: str
    gain: str
    epsilon: float
    output: str


def fuse_norms(graph: onnx.GraphProto, flow: Dataflow) -> None:
    """Replace every x · gain / √(mean(x²) + ε) over the last axis; norms of other forms stay as they are."""
    nodes: list[onnx.NodeProto] = []
    fused = {norm.output: norm for node in graph.node if (norm := _norm_around(node, flow))}
    for node in graph.node:
        norm = fused.get(node.output[0])
        if norm is None:
            nodes.append(node)
            continue
        nodes.append(
            helper.make_node(
                NORM, [norm.data, norm.gain], [norm.output], axis=-1, epsilon=norm.epsilon, stash_type=1
            )
        )
    replace_nodes(graph, nodes)


def _norm_around(mean: onnx.NodeProto, flow: Dataflow) -> _Norm | None:
    """Return the norm that a mean of squares belongs to, None if it has another form."""
    if mean.op_type != "ReduceMean" or not _over_last_axis(mean, flow):
        return None
    square = flow.producers.get(mean.input[0])
    if square is None or square.op_type != "Pow" or flow.scalar(square.input[1]) != 2:
        return None
    data = square.input[0]
    add = flow.only_consumer(mean.output[0], "Add")
    root = flow.only_consumer(add.output[0], "Sqrt") if add else None
    inverse = flow.only_consumer(root.output[0], "Div") if root else None
    if add is None or inverse is None or flow.scalar(inverse.input[0]) != 1:
        return None
    epsilon = next((value for name in add.input if (value := flow.scalar(name)) is not None), None)
    scaled = flow.only_consumer(inverse.output[0], "Mul")
    if epsilon is None or scaled is None or data not in scaled.input:
        return None
    weighted = flow.only_consumer(scaled.output[0], "Mul")
    gain = next((name for name in weighted.input if name in flow.parameters), None) if weighted else None
    return _Norm(data, gain, epsilon, weighted.output[0]) if weighted and gain else None


def _over_last_axis(mean: onnx.NodeProto, flow: Dataflow) -> bool:
    axes = flow.constants[mean.input[1]].tolist() if len(mean.input) > 1 else attribute(mean, "axes")
    return bool(axes == [-1] and attribute(mean, "keepdims", 1) == 1)


def fuse_residuals(graph: onnx.GraphProto, flow: Dataflow) -> None:
    """Merge each norm with the addition before it; the sum keeps its name."""
    joined: dict[str, onnx.NodeProto] = {}
    for node in graph.node:
        add = flow.producers.get(node.input[0]) if node.op_type == NORM else None
        if add is None or add.op_type != "Add" or add.output[0] in joined:
            continue
        if any(name in flow.constants or name in flow.parameters for name in add.input):
            continue
        total = add.output[0]
        joined[total] = helper.make_node(
            SKIP_NORM,
            [*add.input, node.input[1]],
            [node.output[0], "", "", total],
            domain=CONTRIB,
            epsilon=attribute(node, "epsilon"),
        )
    norms = {node.output[0] for node in joined.values()}
    replace_nodes(
        graph,
        [joined.get(node.output[0], node) for node in graph.node if node.output[0] not in norms],
    )


def split_residuals(model: onnx.ModelProto) -> onnx.ModelProto:
    """Undo `fuse_residuals` in place, so that the graph can be cut at the residual stream."""
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type != SKIP_NORM:
            nodes.append(node)
            continue
        first, second, gain = node.input
        total, epsilon = node.output[3], attribute(node, "epsilon")
        nodes.append(helper.make_node("Add", [first, second], [total]))
        nodes.append(
            helper.make_node(NORM, [total, gain], [node.output[0]], axis=-1, epsilon=epsilon, stash_type=1)
        )
    replace_nodes(model.graph, nodes)
    return model
