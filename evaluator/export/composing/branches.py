"""The experts of a mixture as branches of a graph, of which only those compute that some token chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from evaluator.export.composing.builder import Builder
from evaluator.export.composing.joined import Joined, builder_between
from evaluator.export.composing.routing import choose
from evaluator.export.cutter import ExpertsCut
from evaluator.export.fusion.uses import ExpertsCall
from evaluator.export.piece_model import LOGITS, MIXTURE, OUTPUT, STREAM

#: Values between the parts: rows that enter experts, numbers of chosen experts, weights, and no rows.
_ROWS, _CHOSEN, _WEIGHTS, _NOTHING = "rows", "chosen", "weights", "nothing"
_NUMBER, _ASKED, _ROW = "number", "asked_{}", "row"


def add_experts(
    joined: Joined, builder: Builder, experts: ExpertsCut, prefix: str, entering: str, logits: str
) -> str:
    """Add router and experts, and return the weighted sums of the experts' outputs.

    All of a layer is inside a branch, because onnxruntime's time to load grows with the number of branches times that
    of values around them.

    Args:
        joined: the whole graph.
        builder: a builder of the layer.
        experts: the experts.
        prefix: beginning of the names of values.
        entering: what enters the experts, float32 [batch, sequence, width].
        logits: the router's, float32 [batch, sequence, experts].
    """
    around, joined.nodes = joined.nodes, []
    mixture, values = _all_experts(joined, builder, experts, prefix, entering, logits)
    inside, joined.nodes = joined.nodes, around
    size, output, same = (f"{prefix}/{name}" for name in ("size", "mixture", "same"))
    skipped = helper.make_node("Identity", [entering], [same])
    joined.nodes.append(helper.make_node("Size", [entering], [size]))
    joined.nodes.append(helper.make_node("Cast", [size], [f"{size}/any"], to=TensorProto.BOOL))
    branches = {
        "then_branch": _branch("experts", inside, mixture),
        "else_branch": _branch("no tokens", [skipped], same),
    }
    joined.nodes.append(helper.make_node("If", [f"{size}/any"], [output], **branches))
    tensors = [slot.parameter for slot in experts.expert.slots.values() if slot.transposed]
    (down,) = (name for name in tensors if "_down_" in name)
    joined.experts[output] = ExpertsCall(
        experts.described,
        tuple(name for name in tensors if name != down),
        down,
        tuple(inside),
        entering,
        *(values[name] for name in (_ROWS, _CHOSEN, _WEIGHTS)),
    )
    return output


def _all_experts(
    joined: Joined, builder: Builder, experts: ExpertsCut, prefix: str, entering: str, logits: str
) -> tuple[str, dict[str, str]]:
    """Add router and experts; return the weighted sums of the experts' outputs, and the values of the router."""
    described = experts.described
    decoder, shapes, layer = builder.decoder, builder.shapes, builder.layer
    width = described.latent or decoder.hidden
    opened = _open(builder, experts, width)
    values = joined.add(opened, builder.slots, prefix, {STREAM: entering, LOGITS: logits}, layer=layer)
    picking = _pick(builder_between(decoder, layer, shapes), experts)
    outputs = [
        _add_branch(joined, experts, picking, number, f"{prefix}.{number}", values)
        for number in range(described.count)
    ]
    closed = _close(builder_between(decoder, layer, shapes), experts, outputs, width)
    given = {**values, STREAM: entering}
    return joined.add(closed, {}, f"{prefix}.sum", given)[MIXTURE], values


def _open(builder: Builder, experts: ExpertsCut, width: int) -> onnx.ModelProto:
    """Return the router: what enters experts, float32 [1, tokens, width], their choice, and which were chosen."""
    router, count = experts.described.router, experts.described.count
    rows = builder.reshape(STREAM, [1, -1, width])
    bias = builder.weight(experts.selection_bias) if experts.selection_bias else None
    chosen, weights = choose(builder, builder.reshape(LOGITS, [-1, count]), router, count, bias)
    flat = builder.reshape(chosen, [-1])
    marks = builder.op(
        "ScatterElements", builder.constant(np.zeros(count), np.bool_), flat, builder.op("Equal", flat, flat)
    )
    asked = builder.split(marks, [1] * count, axis=0)
    nothing = builder.op("Gather", rows, builder.constant([], np.int64), axis=1)
    outputs = {rows: _ROWS, flat: _CHOSEN, weights: _WEIGHTS, nothing: _NOTHING}
    outputs |= {value: _ASKED.format(number) for number, value in enumerate(asked)}
    return builder.model(outputs, {})


def _pick(builder: Builder, experts: ExpertsCut) -> onnx.ModelProto:
    """Return what takes the rows of the tokens that chose an expert."""
    same = builder.op("Equal", _CHOSEN, _NUMBER)
    places = builder.reshape(builder.op("NonZero", same), [-1])
    used = builder.constant(experts.described.router.used, np.int64)
    rows = builder.op("Gather", _ROWS, builder.op("Div", places, used), axis=1)
    if experts.described.weigh_inputs:
        factors = builder.op("Gather", builder.reshape(_WEIGHTS, [-1]), places)
        rows = builder.op("Mul", rows, builder.op("Unsqueeze", factors, builder.constant([1], np.int64)))
    return builder.model({rows: _ROW}, {})


def _add_branch(
    joined: Joined,
    experts: ExpertsCut,
    picking: onnx.ModelProto,
    number: int,
    prefix: str,
    values: Mapping[str, str],
) -> str:
    """Add one expert, and return its outputs, float32 [1, tokens that chose it, width]."""
    given = {**values, _NUMBER: joined.constant(number)}
    nodes, picked = joined.copied(picking, {}, f"{prefix}/picked", given)
    expert = experts.expert
    computed, made = joined.copied(expert.model, expert.slots, prefix, {STREAM: picked[_ROW]}, expert=number)
    output, nothing = f"{prefix}/output", f"{prefix}/nothing"
    skipped = helper.make_node("Identity", [values[_NOTHING]], [nothing])
    branches = {
        "then_branch": _branch("asked", [*nodes, *computed], made[OUTPUT]),
        "else_branch": _branch("not asked", [skipped], nothing),
    }
    joined.nodes.append(helper.make_node("If", [values[_ASKED.format(number)]], [output], **branches))
    return output


def _branch(name: str, nodes: Sequence[onnx.NodeProto], output: str) -> onnx.GraphProto:
    info = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    return helper.make_graph(nodes, name, [], [info])


def _close(builder: Builder, experts: ExpertsCut, outputs: Sequence[str], width: int) -> onnx.ModelProto:
    """Return what brings the experts' outputs back into the order of tokens and adds those of each token."""
    by_expert = builder.reshape(builder.concat(*outputs, axis=1), [-1, width])
    # Sorted by expert and then by place, choices have the order of the outputs.
    size = builder.op("Size", _CHOSEN)
    places = builder.op("Range", builder.constant(0, np.int64), size, builder.constant(1, np.int64))
    keys = builder.op("Add", builder.op("Mul", _CHOSEN, size), places)
    _, order = builder.node("TopK", keys, builder.reshape(size, [1]), outputs=2, largest=0)
    targets = builder.op("Unsqueeze", order, builder.constant([1], np.int64))
    by_token = builder.op("ScatterND", by_expert, targets, by_expert)
    by_token = builder.reshape(by_token, [-1, experts.described.router.used, width])
    if experts.described.weigh_inputs:
        total = builder.op("ReduceSum", by_token, builder.constant([1], np.int64), keepdims=0)
    else:
        weights = builder.op("Unsqueeze", _WEIGHTS, builder.constant([1], np.int64))
        total = builder.op("MatMul", weights, by_token)
    return builder.model({builder.op("Reshape", total, builder.op("Shape", STREAM)): MIXTURE}, {})
