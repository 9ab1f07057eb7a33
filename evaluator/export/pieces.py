"""Cut a graph at the residual stream into pieces that run one by one, with their weights as inputs.

A layer is cut into attention and feed-forward part where the graph allows it. Because weights are inputs, pieces of
the same structure share a model whatever layer they belong to, and one session serves all layers and all variants.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import onnx
from onnx import TensorProto, helper

from evaluator.export.exact.graph import Graph
from evaluator.export.fusion.attention import ATTENTION, SEQLENS, TOTAL_LENGTH
from evaluator.export.fusion.dataflow import Dataflow, attribute, sort_nodes
from evaluator.export.fusion.fuse import Heads
from evaluator.export.fusion.half import halve
from evaluator.export.fusion.norms import NORM, split_residuals
from evaluator.export.fusion.uses import load_fused, load_plain
from evaluator.export.piece_model import (
    add_squares,
    is_positionwise,
    multiply_as_stored,
    named,
    renamed,
    weights_as_inputs,
)
from evaluator.export.skeleton import FINAL_HIDDEN, Slot
from evaluator.support.errors import ExportError

#: Names of every piece's first input and first output.
STREAM, OUTPUT = "stream", "output"

Part = Literal["embedding", "attention", "feed_forward", "layer", "norm"]
_PART_NAMES = {"attention": ", attention", "feed_forward": ", feed-forward part", "layer": ""}
#: Parameters of the norm between attention and feed-forward part, the more specific first.
_MIDDLE_NORMS = (
    "model.layers.{}.pre_feedforward_layernorm.weight",
    "model.layers.{}.post_attention_layernorm.weight",
)
_IDS = "input_ids"
_INPUT_TYPES = {
    SEQLENS: TensorProto.INT32,
    TOTAL_LENGTH: TensorProto.INT32,
    _IDS: TensorProto.INT64,
    "attention_mask": TensorProto.INT64,
    "position_ids": TensorProto.INT64,
}


@dataclass(frozen=True)
class Weight:
    """A weight's input: its slot, whether it is passed as stored in the file or transposed, and if as float16."""

    slot: Slot
    as_stored: bool
    half: bool

    @property
    def n_bytes(self) -> int:
        """Bytes of the values that are passed."""
        return self.slot.n_bytes // 2 if self.half else self.slot.n_bytes


@dataclass(frozen=True)
class Piece:
    """A part of a model between two points of the residual stream.

    Attributes:
        part: which part of the model.
        layer: the layer; −1 for embedding and final norm.
        model: serialized ONNX, equal for pieces of the same structure. Inputs: `stream` float32 [windows, length,
            hidden] (int64 [windows, length] for the embedding), the weights, and `inputs`. Output: `output`.
        weights: name of a weight's input → the weight.
        inputs: names of the other inputs: rotary tables, lengths, mask.
        positionwise: whether positions do not affect one another, so that they may be run in any groups.
        heads: sizes of keys and values if the piece can be run chunk by chunk, see `with_past`.
        heads_held: number of heads of which onnxruntime's kernel for the CPU holds all scores; 0 without a soft cap.
    """

    part: Part
    layer: int
    model: bytes = field(repr=False)
    weights: Mapping[str, Weight]
    inputs: tuple[str, ...]
    positionwise: bool
    heads: Heads | None = None
    heads_held: int = 0

    @property
    def n_bytes(self) -> int:
        """Bytes of its weights as they are passed."""
        return sum(weight.n_bytes for weight in self.weights.values())

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"layer {self.layer}{_PART_NAMES[self.part]}" if self.layer >= 0 else self.part


def cut(graph: Graph, *, fused: bool = True, half: bool = False, squares: bool = False) -> list[Piece]:
    """Cut a graph into embedding, parts of layers and final norm, in order.

    Args:
        graph: the model's graph.
        fused: cut the fused graph if there is one, else the plain graph.
        half: compute matrix products and attention in half precision.
        squares: output the sums of squares of what enters each matrix too, see `add_squares`.

    Raises:
        ExportError: the residual stream is not known, or half precision is requested without a fused graph.
    """
    if half and not (fused and graph.fused):
        raise ExportError(f"half precision needs a fused graph: {graph.plain_reason}")
    if not graph.residuals:
        raise ExportError(f"the model cannot be run layer by layer: {graph.plain_reason}")
    if fused and graph.fused:
        model = split_residuals(load_fused(graph.fused))
        cutter = _Cutter(model, graph.fused.slots, graph.residuals, graph.fused.heads)
    else:
        cutter = _Cutter(load_plain(graph.path), graph.slots, graph.residuals, ())
    return [_finished(item, half=half, squares=squares) for item in cutter.cut()]


@dataclass(frozen=True)
class _Cut:
    """A piece whose weights are still initializers."""

    part: Part
    layer: int
    model: onnx.ModelProto
    slots: Mapping[str, Slot]
    inputs: tuple[str, ...]
    heads: Heads | None
    heads_held: int


class _Cutter:
    """Cuts one graph."""

    def __init__(
        self, model: onnx.ModelProto, slots: Sequence[Slot], residuals: Sequence[str], heads: Sequence[Heads]
    ) -> None:
        self._model, self._slots, self._residuals, self._heads = model, slots, residuals, heads
        self._flow = Dataflow(model.graph, slots)
        self._initializers = {item.name: item for item in model.graph.initializer}
        self._inputs = {item.name for item in model.graph.input} | {SEQLENS, TOTAL_LENGTH}
        parameters = {slot.initializer for slot in slots}
        looked_up = [
            n.output[0] for n in model.graph.node if n.op_type == "Gather" and n.input[0] in parameters
        ]
        #: Values of the stream's shape, of which later pieces may read the shape.
        self._streams = {*residuals, *looked_up}

    def cut(self) -> list[_Cut]:
        """Return all pieces in order."""
        final = self._flow.producers[FINAL_HIDDEN].input[0]
        pieces = [self._between("embedding", -1, _IDS, self._residuals[0])]
        for layer, (start, end) in enumerate(itertools.pairwise(self._residuals)):
            if middle := self._middle(layer, start, end):
                pieces.append(self._between("attention", layer, start, middle))
                pieces.append(self._between("feed_forward", layer, middle, end))
            else:
                pieces.append(self._between("layer", layer, start, end))
        return [*pieces, self._between("norm", -1, self._residuals[-1], final)]

    def _middle(self, layer: int, start: str, end: str) -> str | None:
        """Return the stream between attention and feed-forward part; None if the layer has no such place."""
        weights = {slot.initializer for slot in self._slots}
        for pattern in _MIDDLE_NORMS:
            readers = self._flow.readers_of(pattern.format(layer))
            if len(readers) != 1 or readers[0].op_type != NORM:
                continue
            middle = str(readers[0].input[0])
            above = self._nodes({middle}, end)
            if is_positionwise(above, weights) and all(start not in node.input for node in above):
                return middle
        return None

    def _nodes(self, stops: Iterable[str], end: str) -> list[onnx.NodeProto]:
        """Return the nodes that compute `end` from `stops` and the graph's inputs, in topological order."""
        stopping = self._inputs.union(stops)
        nodes: dict[str, onnx.NodeProto] = {}
        stack = [end]
        while stack:
            name = stack.pop()
            node = self._flow.producers.get(name)
            if name in stopping or node is None or node.output[0] in nodes:
                continue
            nodes[node.output[0]] = node
            stack.extend(filter(None, node.input))
        scratch = onnx.GraphProto()
        scratch.node.extend(nodes.values())
        sort_nodes(scratch)
        return list(scratch.node)

    def _between(self, part: Part, layer: int, start: str, end: str) -> _Cut:
        others = set() if part == "embedding" else self._streams - {start, end}
        nodes = self._nodes({start, *others}, end)
        _check_shapes_only(nodes, others)
        read = {name for node in nodes for name in node.input}
        slots = [slot for slot in self._slots if slot.initializer in read]
        inputs = tuple(sorted((self._inputs - {start}) & read))
        constants = [name for name in self._initializers if name in read]
        names = {**dict.fromkeys(others & read, STREAM), start: STREAM, end: OUTPUT}
        names |= {name: f"constant_{index}" for index, name in enumerate(constants)}
        names |= {slot.initializer: f"weight_{index}" for index, slot in enumerate(slots)}
        names |= {name: name for name in inputs}
        stream_type = TensorProto.INT64 if start == _IDS else TensorProto.FLOAT
        types = {STREAM: stream_type} | {name: _INPUT_TYPES.get(name, TensorProto.FLOAT) for name in inputs}
        graph = helper.make_graph(
            renamed(nodes, names),
            "piece",
            [helper.make_tensor_value_info(name, kind, None) for name, kind in types.items()],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, None)],
            [named(self._initializers[name], names[name]) for name in constants],
        )
        model = helper.make_model(
            graph, opset_imports=self._model.opset_import, ir_version=self._model.ir_version
        )
        held = {names[slot.initializer]: slot for slot in slots}
        attention = next((node for node in nodes if node.op_type == ATTENTION), None)
        if attention is None:
            return _Cut(part, layer, model, held, inputs, None, 0)
        capped = attribute(attention, "num_heads") if attribute(attention, "softcap", 0) else 0
        return _Cut(part, layer, model, held, inputs, self._heads[layer], capped)


def _check_shapes_only(nodes: Iterable[onnx.NodeProto], streams: set[str]) -> None:
    """Check that of other pieces' streams only the shape is read.

    Raises:
        ExportError: a value is read.
    """
    for node in nodes:
        if node.op_type != "Shape" and (read := streams.intersection(node.input)):
            raise ExportError(f"the model cannot be run layer by layer: {min(read)} is read by another layer")


def _finished(item: _Cut, *, half: bool, squares: bool) -> Piece:
    """Turn the weights into inputs."""
    model, weights = item.model, set(item.slots)
    positionwise = item.part in ("embedding", "norm") or is_positionwise(model.graph.node, weights)
    if half:
        halve(model, weights)
    if squares:
        add_squares(model.graph, weights)
    stored = multiply_as_stored(model, {name for name, slot in item.slots.items() if slot.transposed})
    halves = weights_as_inputs(model.graph, weights)
    return Piece(
        item.part,
        item.layer,
        model.SerializeToString(deterministic=True),
        {name: Weight(slot, name in stored, name in halves) for name, slot in item.slots.items()},
        item.inputs,
        positionwise,
        None if half else item.heads,
        item.heads_held,
    )
