"""A model's pieces, open on a device: any file of the model's shape runs through them, piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from evaluator.export.composing.attention import POSITIONS, TEMPERATURE, temperature_inputs
from evaluator.export.composing.stream import stream_width
from evaluator.export.exact.graph import Graph
from evaluator.export.exact.weights import rotary_inputs
from evaluator.export.fusion.attention import SEQLENS, TOTAL_LENGTH
from evaluator.export.fusion.fuse import Heads
from evaluator.export.piece_model import (
    LOGITS,
    MIXTURE,
    OUTPUT,
    PAST,
    PRESENT,
    SQUARES,
    STREAM,
    with_past,
    with_whole_scores,
)
from evaluator.export.pieces import Experts, Piece, cut
from evaluator.models.model_file import ModelFile
from evaluator.runtime.device import Device
from evaluator.runtime.piece_weights import WeightReader
from evaluator.runtime.session import Array, Session
from evaluator.support.units import FLOAT_BYTES

Values = npt.NDArray[np.float32]
Inputs = Mapping[str, Array | ort.OrtValue]

#: Windows that run at a time on a CPU: the attention heads of two divide evenly between threads. A GPU needs more
#: positions at a time.
_TOGETHER, _POSITIONS_ON_GPU = 2, 8192
#: Positions that run at a time in a long window on a CPU: memory for what a layer computes grows with them. With a
#: soft cap, onnxruntime's kernel holds all scores of a chunk, so this many bytes of them are allowed.
CHUNK, _CHUNK_SCORES = 2048, 1 << 28
#: Up to this length, all scores of a window at a time are faster than blocks of them: 1.0 to 1.6 times.
_SHORT = 512
_ROWS, _MATRIX = "rows", "matrix"


class LayeredModel:
    """The sessions of a graph's pieces on one device; weights are given to every run."""

    def __init__(
        self, graph: Graph, device: Device, *, fused: bool = True, half: bool = False, squares: bool = False
    ) -> None:
        """Cut the graph and open its pieces.

        Args:
            graph: the model's graph.
            device: where it runs.
            fused: whether the fused graph may be used; a GPU uses it in half precision only.
            half: compute in half precision, which needs a fused graph.
            squares: also compute the sums of squares of what enters each matrix.

        Raises:
            ExportError: half precision is requested, and the graph is not fused; or it cannot be cut.
            ComputeError: onnxruntime does not run a piece on the device.
        """
        self.device = device
        # The fused operator has no float32 kernel for CUDA.
        use_fused = half or (fused and device.name == "cpu")
        self._graph = graph if use_fused else replace(graph, fused=None)
        self.pieces = cut(self._graph, fused=use_fused, half=half, squares=squares)
        self._sessions: dict[bytes, Session] = {}
        self._changes: dict[tuple[bytes, str], Session] = {}
        for piece in self.pieces:
            self._session(piece.model)
            if piece.experts:
                self._session(piece.experts.model)
                self._session(piece.experts.closing)
        self._rows = Session(_row_graph(), device)
        self.provider = self._rows.provider

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return max(piece.layer for piece in self.pieces) + 1

    @property
    def n_weights(self) -> int:
        """Number of weights in the layers that a token passes through."""
        return sum(
            piece.n_weights
            + (piece.experts.described.router.used * piece.experts.n_weights if piece.experts else 0)
            for piece in self.pieces[1:]
        )

    @property
    def most_experts(self) -> int:
        """Largest number of experts in a layer; 0 without mixtures."""
        return max((piece.experts.described.count for piece in self.pieces if piece.experts), default=0)

    @property
    def is_fused(self) -> bool:
        """Whether attention is one operator, whose memory grows linearly with the window's length."""
        return self._graph.decoder is not None or self._graph.fused is not None

    @property
    def hidden(self) -> int:
        """Width of the model."""
        if self._graph.decoder:
            return self._graph.decoder.hidden
        ((_, embedding),) = self.pieces[0].weights.items()
        return embedding.slot.shape[-1]

    @property
    def width(self) -> int:
        """Width of the residual stream with all that it carries; its first `hidden` values are the main stream."""
        return stream_width(self._graph.decoder) if self._graph.decoder else self.hidden

    @property
    def sample_width(self) -> int:
        """Values that an observer gets of a token: the stream, and how the layer's router distributed it."""
        return self.hidden + 2 * self.most_experts

    def together(self, length: int) -> int:
        """Return how many windows of `length` tokens to run at a time."""
        if self.device.name == "cuda":
            return max(_TOGETHER, _POSITIONS_ON_GPU // length)
        return _TOGETHER if length <= CHUNK else 1

    def on_device(self, weights: Mapping[str, Array]) -> dict[str, ort.OrtValue]:
        """Place a piece's weights on the device."""
        return {name: self._rows.resident(values) for name, values in weights.items()}

    def empty(self, shape: Sequence[int]) -> ort.OrtValue:
        """Allocate a float32 array on the device."""
        return self._rows.empty(shape)

    def window_inputs(self, file: ModelFile, count: int, length: int) -> dict[str, Array]:
        """Return the inputs of pieces besides stream and weights, for `count` windows of `length` tokens.

        Raises:
            SourceError: the file's kind of rotary embedding is not known.
        """
        return {
            SEQLENS: np.full(count, length - 1, np.int32),
            TOTAL_LENGTH: np.array([length], np.int32),
            "input_ids": np.zeros((count, length), np.int64),
            "attention_mask": np.ones((count, length), np.int64),
            "position_ids": np.tile(np.arange(length, dtype=np.int64), (count, 1)),
            **rotary_inputs(file, self._graph, length),
            **(temperature_inputs(self._graph.decoder, length) if self._graph.decoder else {}),
        }

    def embed(self, reader: WeightReader, ids: npt.NDArray[np.integer]) -> ort.OrtValue:
        """Return the residual stream before the first layer, float32 [windows, length, hidden], of token ids."""
        piece = self.pieces[0]
        table, places = reader.embedding(piece, ids)
        ran = self._session(piece.model).run_into({STREAM: places, **table}, {OUTPUT: None})
        return ran[OUTPUT]

    def run(
        self, piece: Piece, stream: ort.OrtValue, weights: Inputs, common: Inputs, target: ort.OrtValue
    ) -> dict[str, Values]:
        """Run a piece on the residual stream, float32 [windows, length, hidden].

        Args:
            piece: one of `pieces`.
            stream: its input.
            weights: its weights by input.
            common: the inputs that `window_inputs` returns.
            target: where the output goes; of the stream's shape, and not the stream.

        Returns:
            Sums of squares by weight input, float32 [channels], if the model computes them.
        """
        length = stream.shape()[1]
        if self.device.name == "cpu" and length > CHUNK and stream.shape()[0] == 1:
            if piece.positionwise:
                return self._in_blocks(piece, stream.numpy(), weights, target.numpy())
            if piece.heads:
                return self._in_chunks(piece, piece.heads, stream.numpy(), weights, common, target.numpy())
        session = self._session_for(piece, length)
        inputs = {STREAM: stream, **weights, **{name: common[name] for name in piece.inputs}}
        return _squares(session.run_into(inputs, _outputs(session, target)))

    def open_mixture(
        self, piece: Piece, stream: ort.OrtValue, weights: Inputs, target: ort.OrtValue
    ) -> tuple[Values, dict[str, Values]]:
        """Run what comes before a mixture's experts: what enters them goes to `target`.

        Returns:
            The router's logits, float32 [windows, length, experts], and sums of squares as `run` returns them.
        """
        session = self._session(piece.model)
        ran = session.run_into({STREAM: stream, **_taken(session, weights)}, _outputs(session, target))
        return ran[LOGITS].numpy(), _squares(ran)

    def close_mixture(
        self, experts: Experts, stream: ort.OrtValue, mixture: Values, weights: Inputs, target: ort.OrtValue
    ) -> dict[str, Values]:
        """Run what follows a mixture's experts.

        Args:
            experts: the experts of one of `pieces`.
            stream: the stream before them.
            mixture: the weighted sum of their outputs, float32 [windows, length, hidden].
            weights: the piece's weights by input.
            target: where the new stream goes.

        Returns:
            Sums of squares as `run` returns them.
        """
        session = self._session(experts.closing)
        inputs = {STREAM: stream, MIXTURE: mixture, **_taken(session, weights)}
        return _squares(session.run_into(inputs, _outputs(session, target)))

    def run_expert(self, experts: Experts, rows: Values, weights: Inputs) -> tuple[Values, dict[str, Values]]:
        """Run an expert on the normalized stream of its tokens, float32 [tokens, hidden].

        Args:
            experts: the experts of one of `pieces`.
            rows: its input.
            weights: the expert's weights by input.

        Returns:
            Its output, float32 [tokens, hidden], and sums of squares as `run` returns them.
        """
        session = self._session(experts.model)
        ran = session.run_into({STREAM: rows[None], **weights}, dict.fromkeys(session.output_names))
        return np.asarray(ran[OUTPUT].numpy()[0]), _squares(ran)

    def norm(self, rows: ort.OrtValue, weights: Inputs) -> Values:
        """Run the final norm on rows of the stream, float32 [windows, rows, width]; return them on the host."""
        ran = self._session(self.pieces[-1].model).run({STREAM: rows, **weights})
        return np.asarray(ran[0], np.float32)

    def rows(self, stream: ort.OrtValue, rows: npt.NDArray[np.integer]) -> ort.OrtValue:
        """Return some positions of a stream, float32 [windows, rows, hidden], on the device."""
        return self._rows.run_into({STREAM: stream, _ROWS: np.asarray(rows, np.int64)}, {OUTPUT: None})[
            OUTPUT
        ]

    def _session(self, model: bytes) -> Session:
        if model not in self._sessions:
            self._sessions[model] = Session(model, self.device)
        return self._sessions[model]

    def _session_for(self, piece: Piece, length: int) -> Session:
        """Return the session that runs whole windows of `length` tokens through a piece."""
        if piece.heads is None or self.device.name != "cpu" or length > _SHORT:
            return self._session(piece.model)
        return self._changed(piece.model, with_whole_scores)

    def _changed(self, model: bytes, change: Callable[[bytes], bytes]) -> Session:
        """Return the session of a changed piece."""
        key = (model, change.__name__)
        if key not in self._changes:
            self._changes[key] = Session(change(model), self.device)
        return self._changes[key]

    def _in_blocks(self, piece: Piece, stream: Values, weights: Inputs, target: Values) -> dict[str, Values]:
        """Run a piece on blocks of positions that do not affect one another."""
        session, total = self._session(piece.model), dict[str, Values]()
        for start in range(0, stream.shape[1], CHUNK):
            block = slice(start, start + CHUNK)
            inputs = {STREAM: stream[:, block], **weights}
            _add(total, _squares(session.run_into(inputs, _outputs(session, target[:, block]))))
        return total

    def _in_chunks(
        self, piece: Piece, heads: Heads, stream: Values, weights: Inputs, common: Inputs, target: Values
    ) -> dict[str, Values]:
        """Run attention on chunks of one window, each with the keys and values of the chunks before."""
        session, total = self._changed(piece.model, with_past), dict[str, Values]()
        nothing = np.zeros((1, heads.kv_heads, 0, heads.width), np.float32)
        past: dict[str, Array | ort.OrtValue] = dict.fromkeys(PAST, nothing)
        length, size = stream.shape[1], _chunk_size(piece, stream.shape[1])
        for start in range(0, length, size):
            end = min(start + size, length)
            lengths = {SEQLENS: np.array([end - 1], np.int32), TOTAL_LENGTH: np.array([end], np.int32)}
            others = {
                name: lengths.get(name, _chunk(name, common[name], start, end)) for name in piece.inputs
            }
            inputs = {STREAM: stream[:, start:end], **weights, **others, **past}
            ran = session.run_into(inputs, _outputs(session, target[:, start:end]))
            past = dict(zip(PAST, (ran[name] for name in PRESENT), strict=True))
            _add(total, _squares(ran))
        return total


def _chunk_size(piece: Piece, length: int) -> int:
    """Return how many positions of a window of `length` run at a time."""
    if not piece.heads_held:
        return CHUNK
    return max(1, min(CHUNK, _CHUNK_SCORES // (FLOAT_BYTES * piece.heads_held * length)))


def _chunk(name: str, values: Array | ort.OrtValue, start: int, end: int) -> Array | ort.OrtValue:
    """Return the part of an input that belongs to a chunk of positions; tables of rotations serve as a whole."""
    if not isinstance(values, np.ndarray):
        return values
    if name == POSITIONS:
        return values[:, start:end]
    return values[start:end] if name.startswith(TEMPERATURE) else values


def _outputs(session: Session, target: Values | ort.OrtValue) -> dict[str, ort.OrtValue | None]:
    """Return all outputs of a piece, the stream to be written to `target`."""
    held = target if isinstance(target, ort.OrtValue) else ort.OrtValue.ortvalue_from_numpy(target)
    return {name: held if name == OUTPUT else None for name in session.output_names}


def _taken(session: Session, weights: Inputs) -> Inputs:
    """Return the weights that a session has as inputs."""
    return {name: values for name, values in weights.items() if name in session.input_names}


def _squares(ran: Mapping[str, ort.OrtValue]) -> dict[str, Values]:
    return {
        name.removeprefix(SQUARES): value.numpy() for name, value in ran.items() if name.startswith(SQUARES)
    }


def _add(total: dict[str, Values], part: Mapping[str, Values]) -> None:
    for name, values in part.items():
        total[name] = total[name] + values if name in total else values


def _row_graph() -> onnx.ModelProto:
    """Build the graph that gathers rows: `stream` float32 [windows, length, hidden], `rows` int64 [n]."""
    graph = helper.make_graph(
        [helper.make_node("Gather", [STREAM, _ROWS], [OUTPUT], axis=1)],
        "rows",
        [
            helper.make_tensor_value_info(STREAM, TensorProto.FLOAT, None),
            helper.make_tensor_value_info(_ROWS, TensorProto.INT64, None),
        ],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
