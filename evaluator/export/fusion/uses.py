"""Load the fused graph, and adapt it to decoding token by token."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from evaluator.export.fusion.attention import ATTENTION, SEQLENS, TOTAL_LENGTH
from evaluator.export.fusion.dataflow import Dataflow, sort_nodes
from evaluator.export.fusion.fuse import Fused
from evaluator.export.fusion.positionwise import is_positionwise
from evaluator.export.skeleton import FINAL_HIDDEN, SCORED_POSITIONS, prune

ATTENTION_MASK = "attention_mask"


def load_fused(fused: Fused) -> onnx.ModelProto:
    """Load the fused graph; weights stay references."""
    return load_plain(fused.path)


def load_plain(path: Path) -> onnx.ModelProto:
    """Load an exported graph; weights stay references."""
    return onnx.load(str(path), load_external_data=False)


def score_late(model: onnx.ModelProto, fused: Fused) -> onnx.ModelProto:
    """Compute only the scored positions after the last layer's attention, in place.

    A graph stays as it is if an operator there may mix positions.
    """
    graph = model.graph
    flow = Dataflow(graph, fused.slots)
    last = [node for node in graph.node if node.op_type == ATTENTION][-1].output[0]
    final = flow.producers[FINAL_HIDDEN]
    following: list[onnx.NodeProto] = []
    late = {last}
    for node in graph.node:
        if node is not final and late & set(node.input):
            following.append(node)
            late |= set(filter(None, node.output))
    if not is_positionwise(following, flow.parameters):
        return model
    made = {name for node in following for name in node.output}
    gathered: dict[str, str] = {}
    for node in following:
        for index, name in enumerate(node.input):
            if name and name not in made | set(flow.parameters) | set(flow.constants):
                gathered[name] = f"{name}/scored"
                node.input[index] = gathered[name]
    for name, scored in gathered.items():
        graph.node.append(helper.make_node("Gather", [name, SCORED_POSITIONS], [scored], axis=1))
    producer = flow.producers[final.input[0]]
    producer.output[list(producer.output).index(final.input[0])] = FINAL_HIDDEN
    graph.node.remove(final)
    sort_nodes(graph)
    return model


def with_cache(model: onnx.ModelProto, fused: Fused) -> onnx.ModelProto:
    """Give every layer its past keys and values for decoding, in place.

    New inputs: `attention_mask` int64 [batch, past + sequence], whose sums are the lengths of the sequences, and
    `past_key_values.N.key` and `.value` float32 [batch, kv heads, past, width]. New outputs after `final_hidden`:
    `present.N.key` and `.value`. A past buffer with free space may be bound to the present output too; it is then
    filled in place.
    """
    graph = model.graph
    for node in [node for node in graph.node if {SEQLENS, TOTAL_LENGTH} & set(node.output)]:
        graph.node.remove(node)
    graph.initializer.append(helper.make_tensor("position_axis", TensorProto.INT64, [1], [1]))
    graph.node.extend(
        [
            helper.make_node("ReduceSum", [ATTENTION_MASK, "position_axis"], ["lengths_64"], keepdims=0),
            helper.make_node("Cast", ["lengths_64"], ["lengths"], to=TensorProto.INT32),
            helper.make_node("Sub", ["lengths", "one"], [SEQLENS]),
            helper.make_node("Shape", [ATTENTION_MASK], ["total_64"], start=1),
            helper.make_node("Cast", ["total_64"], [TOTAL_LENGTH], to=TensorProto.INT32),
        ]
    )
    mask = helper.make_tensor_value_info(ATTENTION_MASK, TensorProto.INT64, ["batch_size", "total_length"])
    graph.input.append(mask)
    attentions = [node for node in graph.node if node.op_type == ATTENTION]
    for layer, (node, heads) in enumerate(zip(attentions, fused.heads, strict=True)):
        past = [f"past_key_values.{layer}.{kind}" for kind in ("key", "value")]
        present = [f"present.{layer}.{kind}" for kind in ("key", "value")]
        node.input[3], node.input[4] = past
        node.output[1:] = present
        for field, names, length in (
            (graph.input, past, "past_length"),
            (graph.output, present, "total_length"),
        ):
            shape = ["batch_size", heads.kv_heads, length, heads.width]
            field.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names)
    sort_nodes(graph)
    prune(graph)
    return model
