"""A model's pieces, open on a device: any file of the model's shape runs through them, piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from evaluator.export.composing.attention import temperature_inputs
from evaluator.export.composing.stream import stream_width
from evaluator.export.exact.graph import Graph
from evaluator.export.exact.weights import rotary_inputs
from evaluator.export.fusion.attention import SEQLENS, TOTAL_LENGTH
from evaluator.export.piece_model import LOGITS, MIXTURE, OUTPUT, STREAM, with_past, with_whole_scores
from evaluator.export.pieces import Experts, Piece, cut
from evaluator.models.model_file import ModelFile
from evaluator.runtime.device import Device
from evaluator.runtime.piece_runs import (
    ROWS,
    Inputs,
    Values,
    outputs,
    row_graph,
    run_blocks,
    run_chunks,
    squares_of,
    taken,
    total_squares,
)
from evaluator.runtime.piece_weights import WeightReader
from evaluator.runtime.session import Array, Session
from evaluator.support.units import FLOAT_BYTES

#: Windows that run at a time on a CPU: the attention heads of two divide evenly between threads. A GPU needs more
#: positions at a time.
_TOGETHER, _POSITIONS_ON_GPU = 2, 8192
#: Positions that run at a time in a long window on a CPU: memory for what a layer computes grows with them. With a
#: soft cap, onnxruntime's kernel holds all scores of a chunk, so this many bytes of them are allowed.
CHUNK, _CHUNK_SCORES = 2048, 1 << 28
#: Up to this length, all scores of a window at a time are faster than blocks of them: 1.0 to 1.6 times.
_SHORT = 512


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
        self._use_fused = half or (fused and device.name == "cpu")
        self._graph = graph if self._use_fused else replace(graph, fused=None)
        self.pieces = cut(self._graph, fused=self._use_fused, half=half, squares=squares)
        self._sessions: dict[bytes, Session] = {}
        self._changes: dict[tuple[bytes, str], Session] = {}
        for piece in self.pieces:
            self._session(piece.model)
            if piece.experts:
                self._session(piece.experts.model)
                self._session(piece.experts.closing)
        self._rows = Session(row_graph(), device)
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
        return self._use_fused and (self._graph.decoder is not None or self._graph.fused is not None)

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

    @property
    def main(self) -> int:
        """Width of the streams that layers compute, of a model that is built from a description; else 0."""
        return self._graph.decoder.hidden * self._graph.decoder.streams if self._graph.decoder else 0

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
        session = self._session(piece.model)
        if self.device.name == "cpu" and ids.shape[0] == 1 and ids.shape[1] > CHUNK:
            target = self.empty([*ids.shape, self.width])
            run_blocks(session, {STREAM: places}, table, target, CHUNK)
            return target
        return session.run_into({STREAM: places, **table}, {OUTPUT: None})[OUTPUT]

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
        if piece.positionwise and not piece.inputs:
            return total_squares(self._positionwise(piece.model, {STREAM: stream}, weights, target))
        if piece.heads and self._is_long(stream):
            session, size = self._changed(piece.model, with_past), chunk_size(piece, length)
            streams, own = (stream.numpy(), target.numpy()), {name: common[name] for name in piece.inputs}
            return run_chunks(session, piece.heads, streams, weights, own, size)
        session = self._session_for(piece, length)
        inputs = {STREAM: stream, **weights, **{name: common[name] for name in piece.inputs}}
        return squares_of(session.run_into(inputs, outputs(session, target)))

    def open_mixture(
        self, piece: Piece, stream: ort.OrtValue, weights: Inputs, target: ort.OrtValue
    ) -> tuple[Values, dict[str, Values]]:
        """Run what comes before a mixture's experts: what enters them goes to `target`.

        Returns:
            The router's logits, float32 [windows, length, experts], and sums of squares as `run` returns them.
        """
        ran = self._positionwise(piece.model, {STREAM: stream}, weights, target)
        return np.concatenate([block[LOGITS].numpy() for block in ran], axis=1), total_squares(ran)

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
        streams = {STREAM: stream, MIXTURE: mixture}
        return total_squares(self._positionwise(experts.closing, streams, weights, target))

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
        return np.asarray(ran[OUTPUT].numpy()[0]), squares_of(ran)

    def norm(self, rows: ort.OrtValue, weights: Inputs) -> Values:
        """Run the final norm on rows of the stream, float32 [windows, rows, width]; return them on the host."""
        ran = self._session(self.pieces[-1].model).run({STREAM: rows, **weights})
        return np.asarray(ran[0], np.float32)

    def rows(self, stream: ort.OrtValue, rows: npt.NDArray[np.integer]) -> ort.OrtValue:
        """Return some positions of a stream, float32 [windows, rows, hidden], on the device."""
        return self._rows.run_into({STREAM: stream, ROWS: np.asarray(rows, np.int64)}, {OUTPUT: None})[OUTPUT]

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

    def _is_long(self, stream: ort.OrtValue) -> bool:
        """Return whether a stream is a window that runs part by part."""
        windows, length, _ = stream.shape()
        return self.device.name == "cpu" and length > CHUNK and windows == 1

    def _positionwise(
        self,
        model: bytes,
        streams: Mapping[str, Values | ort.OrtValue],
        weights: Inputs,
        target: ort.OrtValue,
    ) -> list[dict[str, ort.OrtValue]]:
        """Run positions that do not affect one another; return the outputs of each run, see `run_blocks`."""
        session, stream = self._session(model), streams[STREAM]
        assert isinstance(stream, ort.OrtValue)
        if self._is_long(stream):
            return run_blocks(session, streams, weights, target, CHUNK)
        return [session.run_into({**streams, **taken(session, weights)}, outputs(session, target))]


def chunk_size(piece: Piece, length: int) -> int:
    """Return how many positions of a window of `length` run at a time."""
    if not piece.heads_held:
        return CHUNK
    return max(1, min(CHUNK, _CHUNK_SCORES // (FLOAT_BYTES * piece.heads_held * length)))
