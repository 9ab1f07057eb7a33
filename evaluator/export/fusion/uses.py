"""Load the fused graph, and adapt a whole graph to decoding token by token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from evaluator.export.fusion.attention import ATTENTION, SEQLENS, TOTAL_LENGTH
from evaluator.export.fusion.dataflow import Dataflow, sort_nodes
from evaluator.export.fusion.fuse import Fused, Heads
from evaluator.export.fusion.positionwise import is_positionwise
from evaluator.export.skeleton import FINAL_HIDDEN, SCORED_POSITIONS, Slot, prune
from evaluator.models.architectures.mixers import Experts

ATTENTION_MASK = "attention_mask"
#: Beginning of the names of what a model takes from the tokens before, and of what it gives for the next ones.
PAST, PRESENT = "past_key_values.", "present."
#: Dimension of past keys and values that counts the tokens before.
PAST_LENGTH = "past_length"
#: Input of a node with a state that holds the state before.
_PAST_STATE = 3


@dataclass(frozen=True)
class ExpertsCall:
    """The experts of a layer in a whole graph.

    Attributes:
        described: what they compute and how they are chosen.
        gate_and_up: tensors of the first products, or the one that holds both.
        down: tensor of the last product.
        nodes: the nodes of router and experts.
        entering: the value that enters, float32 [batch, sequence, width].
        rows: the same as float32 [1, tokens, width].
        chosen: numbers of the chosen experts, int64 [tokens · used].
        weights: weights of their outputs, float32 [tokens, used].
    """

    described: Experts
    gate_and_up: tuple[str, ...]
    down: str
    nodes: tuple[onnx.NodeProto, ...]
    entering: str
    rows: str
    chosen: str
    weights: str


@dataclass(frozen=True)
class Body:
    """A whole model without its output matrix.

    Attributes:
        model: inputs `input_ids` int64 [batch, sequence], `scored_positions` int64 [scored], and tables of rotary
            embeddings; output `final_hidden`. Weights are references.
        slots: the places of the weights.
        heads: sizes of keys and values of the attention nodes, in order, by layer.
        experts: value that the experts of a layer compute → the experts.
        states: name of each node that carries a state of fixed size, `LAYER.KIND` → the state's shape in a sequence.
    """

    model: onnx.ModelProto
    slots: tuple[Slot, ...]
    heads: Mapping[int, Heads]
    states: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    experts: Mapping[str, ExpertsCall] = field(default_factory=dict)


def fused_body(fused: Fused) -> Body:
    """Load the fused graph; weights stay references."""
    return Body(load_fused(fused), fused.slots, dict(enumerate(fused.heads)))


def load_fused(fused: Fused) -> onnx.ModelProto:
    """Load the fused graph; weights stay references."""
    return load_plain(fused.path)


def load_plain(path: Path) -> onnx.ModelProto:
    """Load an exported graph; weights stay references."""
    return onnx.load(str(path), load_external_data=False)


def score_late(body: Body) -> None:
    """Compute only the scored positions after the last layer's attention, in place.

    A graph stays as it is if an operator there may mix positions.
    """
    graph = body.model.graph
    flow = Dataflow(graph, body.slots)
    attended = [node for node in graph.node if node.op_type == ATTENTION]
    final = flow.producers[FINAL_HIDDEN]
    following: list[onnx.NodeProto] = []
    late = {node.output[0] for node in attended[-1:]}
    for node in graph.node:
        if node is not final and late & set(node.input):
            following.append(node)
            late |= set(filter(None, node.output))
    if not following or not is_positionwise(following, flow.parameters):
        return
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


def with_cache(body: Body) -> onnx.ModelProto:
    """Give every layer its past keys and values, or its past state, for decoding, in place.

    New inputs: `attention_mask` int64 [batch, past + sequence], whose sums are the lengths of the sequences,
    `past_key_values.N.key` and `.value` float32 [batch, kv heads, past, width] of layers with attention, and
    `past_key_values.N.KIND` float32 [batch, …] of layers with a state. New outputs after `final_hidden`: `present.`
    for each. A past buffer of keys or values with free space may be bound to the present output too; it is then
    filled in place.
    """
    graph = body.model.graph
    _take_lengths_from_mask(graph)
    attentions = [node for node in graph.node if node.op_type == ATTENTION]
    for node, (layer, heads) in zip(attentions, body.heads.items(), strict=True):
        names = [f"{layer}.{kind}" for kind in ("key", "value")]
        node.input[3], node.input[4] = (PAST + name for name in names)
        node.output[1:] = [PRESENT + name for name in names]
        for field_, prefix, length in (
            (graph.input, PAST, PAST_LENGTH),
            (graph.output, PRESENT, "total_length"),
        ):
            _declare(field_, prefix, names, ["batch_size", heads.kv_heads, length, heads.width])
    for node in [node for node in graph.node if node.name in body.states]:
        node.input.extend([""] * (_PAST_STATE + 1 - len(node.input)))
        node.input[_PAST_STATE], node.output[1] = PAST + node.name, PRESENT + node.name
        for field_, prefix in ((graph.input, PAST), (graph.output, PRESENT)):
            _declare(field_, prefix, [node.name], ["batch_size", *body.states[node.name]])
    sort_nodes(graph)
    prune(graph)
    return body.model


def _take_lengths_from_mask(graph: onnx.GraphProto) -> None:
    """Compute the sequences' lengths from the mask instead of the ids, in place."""
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


def _declare(field_: object, prefix: str, names: Sequence[str], shape: Sequence[object]) -> None:
    """Add float32 inputs or outputs to a graph."""
    field_.extend(  # type: ignore[attr-defined]
        helper.make_tensor_value_info(prefix + name, TensorProto.FLOAT, list(shape)) for name in names
    )
