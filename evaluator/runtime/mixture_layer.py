"""Run the feed-forward part of a mixture: the tokens of all windows through one expert, then the next expert."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from evaluator.export.pieces import Experts, Piece
from evaluator.runtime.layered_model import CHUNK, LayeredModel
from evaluator.runtime.piece_runs import Inputs
from evaluator.runtime.piece_weights import WeightReader, read_ahead
from evaluator.runtime.router import Share, choose, shares
from evaluator.runtime.streams import Step
from evaluator.support.errors import ComputeError
from evaluator.support.stage_clock import in_stage
from evaluator.support.units import FLOAT_BYTES

Values = npt.NDArray[np.float32]
Shape = tuple[int, int, int]
Ends = npt.NDArray[np.int64]

#: Bytes of the values that enter the experts at a time. It does not depend on the free memory, because products of
#: other sizes may round differently.
BLOCK_BYTES = 1 << 28
#: Share of the time that norm and router take, for progress.
_NORM_SHARE = 0.05
#: Called with a layer's experts, the number of one, the number of its tokens, and the sums of squares of what enters
#: its matrices.
ExpertSquares = Callable[[Experts, int, int, Mapping[str, Values]], None]


#: Called with the number of a group, its router's logits, float32 [tokens, experts], and the chosen experts, int64
#: [tokens, used].
Routed = Callable[[int, Values, npt.NDArray[np.int64]], None]


def _ignore(experts: Experts, expert: int, n_tokens: int, squares: Mapping[str, Values]) -> None:
    """Ignore sums of squares."""


def blocks(shapes: Sequence[Shape]) -> list[range]:
    """Return groups of windows whose values enter the experts together; `shapes` are the groups' shapes."""
    found: list[range] = []
    start, used = 0, 0
    for group, shape in enumerate(shapes):
        n_bytes = FLOAT_BYTES * int(np.prod(shape))
        if group > start and used + n_bytes > BLOCK_BYTES:
            found.append(range(start, group))
            start, used = group, 0
        used += n_bytes
    return [*found, range(start, len(shapes))]


class Steps(Protocol):
    """Groups of windows with a residual stream each, float32 [windows, length, hidden]."""

    def get(self, group: int) -> ort.OrtValue:
        """Return a group's stream."""

    def step(self, group: int, run: Step) -> None:
        """Replace a group's stream by what `run` makes of it."""


@dataclass(frozen=True)
class MixtureLayer:
    """A layer's mixture with the weights of one file.

    Attributes:
        model: the pieces.
        piece: what comes before the experts.
        experts: the layer's experts.
        reader: reads the file's weights.
        ahead: whether the next expert's weights are read while one computes.
        squares: called for what comes before and after the experts if the model computes sums of squares.
        expert_squares: called for each expert in that case.
        apart: multiply the tokens of each group on their own, so that rounding does not depend on other groups.
        routed: called for each group.
    """

    model: LayeredModel
    piece: Piece
    experts: Experts
    reader: WeightReader
    ahead: bool
    squares: Callable[[dict[str, Values]], None]
    expert_squares: ExpertSquares
    apart: bool
    routed: Routed

    @classmethod
    def of(
        cls,
        model: LayeredModel,
        piece: Piece,
        reader: WeightReader,
        *,
        ahead: bool = True,
        squares: Callable[[dict[str, Values]], None] = lambda _: None,
        expert_squares: ExpertSquares = _ignore,
        apart: bool = False,
        routed: Routed = lambda _, __, ___: None,
    ) -> MixtureLayer:
        """Return the mixture of one of a model's pieces; see the attributes.

        Raises:
            ComputeError: the piece is not a mixture's.
        """
        if piece.experts is None:
            raise ComputeError(f"{piece.name} has no experts")
        return cls(model, piece, piece.experts, reader, ahead, squares, expert_squares, apart, routed)

    @property
    def _width(self) -> int:
        """Width of what enters and leaves the experts."""
        return self.experts.described.latent or self.model.hidden

    def run(
        self,
        streams: Steps,
        shapes: Sequence[Shape],
        weights: Inputs,
        advance: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Replace the streams of all groups of windows by those behind the mixture.

        Args:
            streams: the residual streams.
            shapes: shape of each group's stream.
            weights: the piece's weights.
            advance: called with the share of the layer that is done.

        Raises:
            SourceError: a weight cannot be read.
            ComputeError: onnxruntime failed.
            OSError: the disk is full.
        """
        found = blocks(shapes)
        for number, block in enumerate(found):
            ends = np.cumsum([shapes[group][0] * shapes[group][1] for group in block])
            entering = np.empty((int(ends[-1]), self._width), np.float32)
            parts = np.split(entering, ends[:-1])
            logits = [
                self._open(streams.get(group), weights, part)
                for group, part in zip(block, parts, strict=True)
            ]
            advance((number + _NORM_SHARE) / len(found))
            waiting = self._shares(block, logits)
            total = self._outputs(entering, ends, waiting, partial(_advance, advance, number, len(found)))
            outputs = np.split(total, ends[:-1])
            for group, output in zip(block, outputs, strict=True):
                streams.step(group, partial(self._close, output, weights))
        self.reader.release(self.experts)

    def _open(self, stream: ort.OrtValue, weights: Inputs, part: Values) -> Values:
        """Write what enters the experts to `part`, float32 [tokens, width]; return the router's logits."""
        with in_stage("computing"):
            target = self.model.empty([*stream.shape()[:-1], self._width])
            logits, squares = self.model.open_mixture(self.piece, stream, weights, target)
            part[:] = target.numpy().reshape(part.shape)
            if squares:
                self.squares(squares)
        return logits.reshape(len(part), -1)

    def _close(self, mixture: Values, weights: Inputs, old: ort.OrtValue, new: ort.OrtValue) -> None:
        """Write the stream behind the mixture, whose output is float32 [tokens, width]."""
        shaped = mixture.reshape([*old.shape()[:-1], self._width])
        squares = self.model.close_mixture(self.experts, old, shaped, weights, new)
        if squares:
            self.squares(squares)

    def _outputs(
        self, entering: Values, ends: Ends, waiting: Sequence[Share], advance: Callable[[float], None]
    ) -> Values:
        """Return the weighted sum of the experts' outputs, float32 [tokens, hidden]; groups end before `ends`."""
        total = np.zeros_like(entering)
        n_rows, done = sum(len(share.tokens) for share in waiting), 0
        for share, weights in read_ahead(waiting, self._read, ahead=self.ahead):
            with in_stage("computing"):
                for part in self._parts(share, ends):
                    self._add_outputs(total, entering, share, part, weights)
            done += len(share.tokens)
            advance(done / n_rows)
        return total

    def _add_outputs(
        self, total: Values, entering: Values, share: Share, part: slice, weights: Inputs
    ) -> None:
        """Add an expert's weighted outputs for some of its tokens to `total`, float32 [tokens, hidden]."""
        tokens, factors = share.tokens[part], share.weights[part, None]
        rows, early = entering[tokens], self.experts.described.weigh_inputs
        output, squares = self.model.run_expert(self.experts, rows * factors if early else rows, weights)
        total[tokens] += output if early else output * factors
        if squares:
            self.expert_squares(self.experts, share.expert, len(tokens), squares)

    def _parts(self, share: Share, ends: Ends) -> Iterator[slice]:
        """Yield which of an expert's tokens run at a time."""
        places = np.searchsorted(share.tokens, ends).tolist() if self.apart else [len(share.tokens)]
        for start, end in itertools.pairwise([0, *places]):
            for first in range(start, end, CHUNK):
                yield slice(first, min(first + CHUNK, end))

    def _shares(self, block: range, logits: Sequence[Values]) -> list[Share]:
        """Return the tokens of each expert that any token of a block of groups chose."""
        bias = self.experts.selection_bias
        selection = self.reader.file.dequantize(bias) if bias else None
        chosen, weights = choose(np.concatenate(logits), self.experts.described.router, selection)
        starts = np.cumsum([len(part) for part in logits])[:-1]
        for group, part, picked in zip(block, logits, np.split(chosen, starts), strict=True):
            self.routed(group, part, picked)
        return list(shares(chosen, weights))

    def _read(self, share: Share) -> Inputs:
        return self.model.on_device(self.reader.expert(self.experts, share.expert))


def _advance(advance: Callable[[float], None], number: int, count: int, share: float) -> None:
    """Report that a share of block `number` of `count` is done."""
    advance((number + _NORM_SHARE + (1 - _NORM_SHARE) * share) / count)
