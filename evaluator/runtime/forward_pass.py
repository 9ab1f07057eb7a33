"""Run windows through a model layer by layer: all windows through one piece, then the next piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from evaluator.export.pieces import Piece
from evaluator.models.architectures.mixture import Router
from evaluator.models.model_file import ModelFile
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.memory_plan import MemoryPlan, Shape
from evaluator.runtime.mixture_layer import ExpertSquares, MixtureLayer
from evaluator.runtime.pass_checkpoint import PassCheckpoint, Resumed
from evaluator.runtime.piece_runs import Inputs
from evaluator.runtime.piece_weights import WeightReader, read_ahead
from evaluator.runtime.router import probabilities
from evaluator.runtime.streams import Streams, StreamsInMemory, StreamsOnDisk
from evaluator.support.errors import ComputeError
from evaluator.support.stage_clock import in_stage
from evaluator.texts.windows import Window

Values = npt.NDArray[np.float32]


class Observer(Protocol):
    """Takes samples of the residual stream while windows run."""

    @property
    def windows(self) -> frozenset[int]:
        """Indices, in the pass, of the windows to sample."""

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """Indices among each window's scored tokens."""

    def take(self, point: int, index: int, stream: Values) -> None:
        """Take a window's sample after `point` layers, float32 [rows, hidden + 2 · experts].

        Behind the stream are the distribution over experts of the layer's router, and 1 for each that was chosen; NaN
        in layers without experts.
        """

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return what was gathered so far."""

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Continue from a state."""


#: Called with the share of the work that is done, from 0 to 1, and where it stands in words.
Advance = Callable[[float, str], None]


def _nothing(share: float, where: str) -> None:
    """Ignore progress."""


@dataclass
class ForwardPass:
    """One pass of windows of one length through a file.

    Attributes:
        model: the pieces.
        file: the weights.
        windows: the windows.
        plan: what is kept in memory; streams on disk need a checkpoint.
        observer: takes samples of the residual stream.
        squares: called with a piece and the sums of squares of its inputs, if the model computes them.
        expert_squares: the same for every expert of a mixture.
        checkpoint: where the state is kept.
        advance: called after each group of windows.
    """

    model: LayeredModel
    file: ModelFile
    windows: Sequence[Window]
    plan: MemoryPlan
    observer: Observer | None = None
    squares: Callable[[Piece, dict[str, Values]], None] = lambda _, __: None
    expert_squares: ExpertSquares = lambda _, __, ___, ____: None
    checkpoint: PassCheckpoint | None = None
    advance: Advance = _nothing
    _tables: dict[int, Inputs] = field(default_factory=dict)
    _routing: dict[int, Values] = field(default_factory=dict)

    def final_hidden(self) -> Iterator[tuple[int, Values]]:
        """Run all windows and yield each one's index and final hidden states, float32 [scored tokens, hidden].

        Raises:
            SourceError: the weights cannot be read, or do not fit the graph.
            ComputeError: onnxruntime failed.
            OSError: the disk is full.
        """
        reader = WeightReader(self.file)
        streams = self._streams()
        try:
            done = self._begin(streams, reader)
            self._run_layers(streams, reader, done)
            yield from self._end(streams, reader)
        finally:
            streams.close()

    @property
    def groups(self) -> list[range]:
        """The windows that run at a time."""
        size = self.model.together(self._length)
        count = len(self.windows)
        return [range(start, min(start + size, count)) for start in range(0, count, size)]

    @property
    def _length(self) -> int:
        return len(self.windows[0].ids)

    def _shapes(self) -> list[tuple[int, int, int]]:
        return [(len(group), self._length, self.model.width) for group in self.groups]

    def _streams(self) -> Streams:
        if self.plan.place == "disk":
            if self.checkpoint is None:
                raise ComputeError("residual streams on disk need a folder")
            return StreamsOnDisk(self.checkpoint.stream_files, self._shapes())
        return StreamsInMemory(self.model.empty if self.plan.place == "device" else _on_host)

    def _begin(self, streams: Streams, reader: WeightReader) -> int:
        """Fill the streams from a checkpoint, or embed; return the number of finished pieces."""
        resumed = self.checkpoint.load() if self.checkpoint else None
        if resumed:
            self._resume(streams, resumed)
            return resumed.done
        for number, group in enumerate(self.groups):
            ids = np.stack([self.windows[index].ids for index in group])
            embedded = self.model.embed(reader, ids)
            if self.plan.place == "host":
                embedded = ort.OrtValue.ortvalue_from_numpy(embedded.numpy())
            streams.put(number, embedded)
        streams.end_piece()
        self._observe(streams, 0)
        return 1

    def _resume(self, streams: Streams, resumed: Resumed) -> None:
        streams.restore(resumed.streams, self._shapes())
        if self.observer:
            self.observer.restore(resumed.observed)

    def _run_layers(self, streams: Streams, reader: WeightReader, done: int) -> None:
        groups, pieces = self.groups, self.model.pieces[1:-1]

        def read(piece: Piece) -> Inputs:
            return self.model.on_device(reader.read(piece))

        waiting = read_ahead(pieces[done - 1 :], read, ahead=self.plan.ahead)
        for number, (piece, weights) in enumerate(waiting, done):
            where = f"layer {piece.layer + 1} of {self.model.n_layers}"
            if piece.experts:
                layer = MixtureLayer.of(
                    self.model,
                    piece,
                    reader,
                    ahead=self.plan.ahead,
                    squares=partial(self.squares, piece),
                    expert_squares=self.expert_squares,
                    routed=partial(self._routed, piece.experts.described.router),
                )
                layer.run(streams, self._shapes(), weights, partial(self._advance, number, where))
            for index in range(0 if piece.experts else len(groups)):
                with in_stage("computing"):
                    streams.step(index, partial(self._step, piece, weights))
                self._advance(number, where, (index + 1) / len(groups))
            streams.end_piece()
            if piece.last:
                self._observe(streams, piece.layer + 1)
            if self.checkpoint:
                self.checkpoint.save(number + 1, streams, self.observer.state() if self.observer else {})

    def _advance(self, number: int, where: str, share: float) -> None:
        """Report that a share of the piece with this number is done."""
        self.advance((number - 1 + share) / (len(self.model.pieces) - 2), where)

    def _step(self, piece: Piece, weights: Inputs, stream: ort.OrtValue, target: ort.OrtValue) -> None:
        common = self._common(stream.shape()[0])
        squares = self.model.run(piece, stream, weights, common, target)
        if squares:
            self.squares(piece, squares)

    def _common(self, count: int) -> Inputs:
        if count not in self._tables:
            self._tables[count] = self.model.window_inputs(self.file, count, self._length)
        return self._tables[count]

    def _observe(self, streams: Streams, point: int) -> None:
        """Pass samples of the streams after `point` layers to the observer."""
        if self.observer is None:
            return
        nothing = np.full((len(self.observer.rows), 2 * self.model.most_experts), np.nan, np.float32)
        for number, group in enumerate(self.groups):
            if not self.observer.windows.intersection(group):
                continue
            stream = streams.get(number)
            rows = self.windows[group[0]].first_scored + self.observer.rows
            samples = self.model.rows(stream, rows).numpy()[..., : self.model.hidden]
            for index, sample in zip(group, samples, strict=True):
                if index in self.observer.windows:
                    routing = self._routing.pop(index, nothing)
                    self.observer.take(point, index, np.concatenate([sample, routing], axis=1))

    def _routed(self, router: Router, number: int, logits: Values, chosen: npt.NDArray[np.int64]) -> None:
        """Keep how sampled tokens of a group of windows were routed, until the layer is observed."""
        if self.observer is None:
            return
        most, rows = self.model.most_experts, self.windows[0].first_scored + self.observer.rows
        for place, index in enumerate(self.groups[number]):
            if index not in self.observer.windows:
                continue
            tokens = place * self._length + rows
            kept = np.zeros((2, len(tokens), most), np.float32)
            kept[0, :, : logits.shape[1]] = probabilities(logits[tokens], router)
            np.put_along_axis(kept[1], chosen[tokens], 1, axis=1)
            self._routing[index] = np.concatenate(list(kept), axis=1)

    def _end(self, streams: Streams, reader: WeightReader) -> Iterator[tuple[int, Values]]:
        """Run the final norm on the scored positions."""
        weights = self.model.on_device(reader.read(self.model.pieces[-1]))
        scored = np.arange(self.windows[0].first_scored, self._length - 1)
        for number, group in enumerate(self.groups):
            states = self.model.norm(self.model.rows(streams.get(number), scored), weights)
            streams.drop(number)
            yield from zip(group, states, strict=True)


def _on_host(shape: Sequence[int]) -> ort.OrtValue:
    return ort.OrtValue.ortvalue_from_numpy(np.empty(shape, np.float32))


def shape_of(model: LayeredModel, windows: Sequence[Window]) -> Shape:
    """Return the size of a pass."""
    return Shape(len(windows), len(windows[0].ids), model.width)
