"""Find the points of the residual stream at which a graph is cut, and the nodes between them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import onnx
from onnx import TensorProto, helper

from evaluator.export.fusion.attention import ATTENTION, SEQLENS, TOTAL_LENGTH
from evaluator.export.fusion.dataflow import Dataflow, attribute, sort_nodes
from evaluator.export.fusion.fuse import Heads
from evaluator.export.fusion.norms import NORM
from evaluator.export.fusion.positionwise import is_positionwise
from evaluator.export.piece_model import OUTPUT, STREAM, named, renamed
from evaluator.export.skeleton import FINAL_HIDDEN, Slot
from evaluator.models.architectures.mixers import Experts
from evaluator.support.errors import ExportError

Part = Literal["embedding", "attention", "feed_forward", "layer", "norm"]
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
class ExpertsCut:
    """The experts behind a piece.

    Attributes:
        expert: what one expert computes.
        closing: what follows the experts: the new stream from the old one and their weighted sum.
        described: how they are chosen.
        selection_bias: tensor with a bias of the choice.
    """

    expert: Cut
    closing: Cut
    described: Experts
    selection_bias: str | None


@dataclass(frozen=True)
class Cut:
    """A piece whose weights are still initializers.

    `positionwise` is None if the nodes have to tell; of `tables` only the rows of the tokens are needed; `states` are
    the shapes of what the nodes with these names carry from token to token.
    """

    part: Part
    layer: int
    model: onnx.ModelProto
    slots: Mapping[str, Slot]
    inputs: tuple[str, ...]
    heads: Heads | None
    heads_held: int
    experts: ExpertsCut | None = None
    positionwise: bool | None = None
    tables: frozenset[str] = frozenset()
    wide: int = 0
    states: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


class Cutter:
    """Cuts one graph."""

    def __init__(
        self,
        model: onnx.ModelProto,
        slots: Sequence[Slot],
        residuals: Sequence[str],
        heads: Sequence[Heads],
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

    def cut(self) -> list[Cut]:
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

    def _between(self, part: Part, layer: int, start: str, end: str) -> Cut:
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
            tables = held if part == "embedding" else ()
            return Cut(part, layer, model, held, inputs, None, 0, tables=frozenset(tables))
        capped = attribute(attention, "num_heads") if attribute(attention, "softcap", 0) else 0
        return Cut(part, layer, model, held, inputs, self._heads[layer], capped)


def _check_shapes_only(nodes: Iterable[onnx.NodeProto], streams: set[str]) -> None:
    """Check that of other pieces' streams only the shape is read.

    Raises:
        ExportError: a value is read.
    """
    for node in nodes:
        if node.op_type != "Shape" and (read := streams.intersection(node.input)):
            raise ExportError(f"the model cannot be run layer by layer: {min(read)} is read by another layer")
