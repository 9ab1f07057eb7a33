"""Join the pieces of a described model into one graph."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from evaluator.export.composing.attention import temperatures
from evaluator.export.composing.branches import add_experts
from evaluator.export.composing.builder import IR_VERSION, OPSET, POSITIONS, Builder, Shapes
from evaluator.export.composing.compose import compose
from evaluator.export.composing.joined import Joined, builder_between
from evaluator.export.cutter import Cut
from evaluator.export.fusion.attention import SEQLENS, rotary_names
from evaluator.export.fusion.fuse import Heads, add_lengths
from evaluator.export.fusion.norms import CONTRIB
from evaluator.export.fusion.uses import Body
from evaluator.export.piece_model import LOGITS, MIXTURE, OUTPUT, STREAM
from evaluator.export.skeleton import FINAL_HIDDEN, SCORED_POSITIONS, place_slots, prune
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.mixers import Temperature

_IDS = "input_ids"


def whole_body(decoder: Decoder, shapes: Shapes) -> Body:
    """Return a described model as one graph, see `Body`.

    Args:
        decoder: the model.
        shapes: the shapes of its tensors.

    Raises:
        ExportError: a tensor is missing, or something in the description is not known.
    """
    joined = Joined()
    _add_positions(joined, decoder)
    stream, heads, states = _IDS, dict[int, Heads](), dict[str, tuple[int, ...]]()
    for cut in compose(decoder, shapes):
        stream = _add_piece(joined, decoder, shapes, cut, stream)
        if cut.heads:
            heads[cut.layer] = cut.heads
        states |= {f"{cut.layer}.{kind}": shape for kind, shape in cut.states.items()}
    joined.nodes.append(helper.make_node("Gather", [stream, SCORED_POSITIONS], [FINAL_HIDDEN], axis=1))
    graph = helper.make_graph([], "decoder", _inputs(decoder), [_output(decoder)])
    add_lengths(graph)
    graph.node.extend(joined.nodes)
    graph.initializer.extend(joined.constants.values())
    slots = place_slots(graph, list(joined.slots.values()))
    prune(graph)
    domains = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=IR_VERSION)
    return Body(model, tuple(slots), heads, states, joined.experts)


def _add_piece(joined: Joined, decoder: Decoder, shapes: Shapes, cut: Cut, stream: str) -> str:
    """Add a piece behind `stream`, and return the stream behind the piece."""
    name = f"{cut.layer}.{cut.part}" if cut.layer >= 0 else cut.part
    outputs = joined.add(cut.model, cut.slots, name, {STREAM: stream}, layer=cut.layer)
    if cut.experts is None:
        return outputs[OUTPUT]
    builder = builder_between(decoder, cut.layer, shapes)
    mixture = add_experts(joined, builder, cut.experts, f"{name}.experts", outputs[OUTPUT], outputs[LOGITS])
    closing = cut.experts.closing
    given = {STREAM: stream, MIXTURE: mixture}
    return joined.add(closing.model, closing.slots, f"{name}.closing", given)[OUTPUT]


def _add_positions(joined: Joined, decoder: Decoder) -> None:
    """Compute positions, int64 [batch, sequence], and factors of queries, float32 [batch, sequence, 1]."""
    builder = builder_between(decoder, -1, {})
    length = builder.op("Squeeze", "length_64")
    places = builder.op("Range", builder.constant(0, np.int64), length, builder.constant(1, np.int64))
    ends = builder.op("Cast", builder.op("Add", SEQLENS, "one"), to=TensorProto.INT64)
    starts = builder.op("Unsqueeze", builder.op("Sub", ends, length), builder.constant([1], np.int64))
    positions = builder.op("Add", starts, places)
    columns = builder.op("Unsqueeze", positions, builder.constant([2], np.int64))
    outputs = {positions: POSITIONS}
    for name, heat in temperatures(decoder).items():
        outputs[_factors(builder, columns, heat)] = name
    joined.shared |= joined.add(builder.model(outputs, {}), {}, "positions", {})


def _factors(builder: Builder, positions: str, heat: Temperature) -> str:
    """Return the factors of queries at positions."""
    numbers = builder.op("Cast", positions, to=TensorProto.FLOAT)
    spans = builder.op(
        "Div", builder.op("Add", numbers, builder.constant(heat.offset)), builder.constant(heat.span)
    )
    steps = builder.op("Add", builder.op("Floor", spans), builder.constant(1))
    return builder.op("Add", builder.scaled(builder.op("Log", steps), heat.factor), builder.constant(1))


def _inputs(decoder: Decoder) -> list[onnx.ValueInfoProto]:
    ids = helper.make_tensor_value_info(_IDS, TensorProto.INT64, ["batch_size", "sequence_length"])
    scored = helper.make_tensor_value_info(SCORED_POSITIONS, TensorProto.INT64, ["scored"])
    tables = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["positions", f"frequencies_{index}"])
        for index in range(len(decoder.rotary))
        for name in rotary_names(index)
    ]
    return [ids, scored, *tables]


def _output(decoder: Decoder) -> onnx.ValueInfoProto:
    shape = ["batch_size", "scored", decoder.hidden]
    return helper.make_tensor_value_info(FINAL_HIDDEN, TensorProto.FLOAT, shape)
