"""Cut the fused graph at the residual stream into pieces that run one by one, with weights as inputs.

Because weights are inputs, one session serves all layers of the same structure and any weights: a matrix can be
replaced without opening a session or running the layers below it again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from evaluator.export.exact.graph import Graph
from evaluator.export.exact.weights import exact_weights, rotary_inputs
from evaluator.export.fusion.attention import SEQLENS, TOTAL_LENGTH
from evaluator.export.fusion.dataflow import Dataflow, sort_nodes
from evaluator.export.fusion.norms import split_residuals
from evaluator.export.fusion.uses import load_fused
from evaluator.export.skeleton import FINAL_HIDDEN, SCORED_POSITIONS, Slot
from evaluator.models.model_file import ModelFile
from evaluator.runtime.device import Device
from evaluator.runtime.session import Array, Session
from evaluator.support.errors import ExportError

_INPUT, _OUTPUT = "piece_input", "piece_output"

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Piece:
    """A part of the graph between two points of the residual stream.

    Attributes:
        session: shared by all pieces of the same structure.
        slots: name of a weight's input → the parameter's slot in the graph.
    """

    session: Session
    slots: Mapping[str, Slot]

    def weights(self, file: ModelFile) -> dict[str, Values]:
        """Read the piece's weights from a file: input name → values."""
        names = {slot: name for name, slot in self.slots.items()}
        return {names[slot]: values for slot, values in exact_weights(file, Graph(Path(), tuple(names)))}


class LayerStack:
    """Embedding, layers and final norm of a graph, each runnable on its own."""

    def __init__(self, graph: Graph, device: Device) -> None:
        """Cut the graph.

        Raises:
            ExportError: the graph is not fused.
        """
        if graph.fused is None:
            raise ExportError(f"layers cannot be run one by one: {graph.plain_reason}")
        self._fused = graph.fused
        self._opened: dict[bytes, Session] = {}
        self._device = device
        model = split_residuals(load_fused(graph.fused))
        flow = Dataflow(model.graph, graph.fused.slots)
        points = ["input_ids", *graph.residuals, FINAL_HIDDEN]
        #: Embedding, then the layers, then the final norm.
        self.pieces = [
            self._piece(model, flow, graph.fused.slots, start, end)
            for start, end in itertools.pairwise(points)
        ]

    def common_inputs(self, file: ModelFile, ids: npt.NDArray[np.int64], rows: Array) -> dict[str, Array]:
        """Return the inputs of pieces other than the residual stream and weights.

        Args:
            file: the model that gives the rotary embedding.
            ids: int64 [windows, length].
            rows: positions that the last piece outputs.
        """
        n_windows, length = ids.shape
        return {
            SEQLENS: np.full(n_windows, length - 1, np.int32),
            TOTAL_LENGTH: np.array([length], np.int32),
            SCORED_POSITIONS: rows,
            **rotary_inputs(file, self._fused, length),
        }

    def run(
        self, index: int, stream: Array, weights: Mapping[str, Array], common: Mapping[str, Array]
    ) -> Values:
        """Run piece `index` on the residual stream, or on token ids if it is the first."""
        session = self.pieces[index].session
        available = {_INPUT: stream, **weights, **common}
        outputs = session.run({name: available[name] for name in session.input_names})
        return np.asarray(outputs[0], np.float32)

    def _piece(
        self, model: onnx.ModelProto, flow: Dataflow, slots: Sequence[Slot], start: str, end: str
    ) -> Piece:
        stops = {start, SEQLENS, TOTAL_LENGTH, *(item.name for item in model.graph.input)}
        nodes = _between(flow, stops, end)
        read = {name for node in nodes for name in node.input}
        names = {start: _INPUT, end: _OUTPUT}
        held = {
            f"weight_{index}": slot for index, slot in enumerate(s for s in slots if s.initializer in read)
        }
        names |= {slot.initializer: name for name, slot in held.items()}
        infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in held]
        kind = TensorProto.INT64 if start == "input_ids" else TensorProto.FLOAT
        infos.append(helper.make_tensor_value_info(_INPUT, kind, None))
        integers = {
            SEQLENS: TensorProto.INT32,
            TOTAL_LENGTH: TensorProto.INT32,
            SCORED_POSITIONS: TensorProto.INT64,
        }
        for name in sorted((stops - {start}) & read):
            infos.append(helper.make_tensor_value_info(name, integers.get(name, TensorProto.FLOAT), None))
        constants = [item for item in model.graph.initializer if item.name in read and item.name not in names]
        graph = helper.make_graph(
            _renamed(nodes, names, keep=stops | {item.name for item in constants}),
            "piece",
            infos,
            [helper.make_tensor_value_info(_OUTPUT, TensorProto.FLOAT, None)],
            constants,
        )
        piece = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
        content = piece.SerializeToString(deterministic=True)
        if content not in self._opened:
            self._opened[content] = Session(piece, self._device)
        return Piece(self._opened[content], held)


def _between(flow: Dataflow, stops: Iterable[str], end: str) -> list[onnx.NodeProto]:
    """Return the nodes that compute `end` from `stops`, weights and constants, in topological order."""
    stopping = set(stops)
    nodes: dict[str, onnx.NodeProto] = {}
    stack = [end]
    while stack:
        name = stack.pop()
        node = flow.producers.get(name)
        if name in stopping or node is None or node.output[0] in nodes:
            continue
        nodes[node.output[0]] = node
        stack.extend(filter(None, node.input))
    scratch = onnx.GraphProto()
    scratch.node.extend(nodes.values())
    sort_nodes(scratch)
    return list(scratch.node)


def _renamed(
    nodes: Sequence[onnx.NodeProto], names: Mapping[str, str], keep: Iterable[str]
) -> list[onnx.NodeProto]:
    """Return copies with numbered value names, so that layers of the same structure become equal."""
    known = dict(names) | {name: name for name in keep if name not in names} | {"": ""}
    copies = []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = ""
        for field in (copy.input, copy.output):
            for index, name in enumerate(field):
                field[index] = known.setdefault(name, f"value_{len(known)}")
        copies.append(copy)
    return copies
