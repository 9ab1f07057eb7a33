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
from evaluator.models.architectures.mixture import (
    ROUTER,
    ROUTER_BIAS,
    SELECTION_BIAS,
    SHARED_GATE,
    Mixture,
)
from evaluator.runtime.layered_model import CHUNK, Inputs, LayeredModel
from evaluator.runtime.piece_weights import WeightReader, read_ahead
from evaluator.runtime.router import Share, choose, shared_share, shares
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
#: Called with a layer's experts, the number of one (None for the shared one), the number of its tokens, and the sums
#: of squares of what enters its matrices.
ExpertSquares = Callable[[Experts, int | None, int, Mapping[str, Values]], None]


def _ignore(experts: Experts, expert: int | None, n_tokens: int, squares: Mapping[str, Values]) -> None:
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
        mixture: how experts are chosen.
        piece: the layer's norm.
        experts: the layer's experts.
        reader: reads the file's weights.
        ahead: whether the next expert's weights are read while one computes.
        squares: called for each expert if the model computes sums of squares.
        apart: multiply the tokens of each group on their own, so that rounding does not depend on other groups.
    """

    model: LayeredModel
    mixture: Mixture
    piece: Piece
    experts: Experts
    reader: WeightReader
    ahead: bool
    squares: ExpertSquares
    apart: bool

    @classmethod
    def of(
        cls,
        model: LayeredModel,
        piece: Piece,
        reader: WeightReader,
        *,
        ahead: bool = True,
        squares: ExpertSquares = _ignore,
        apart: bool = False,
    ) -> MixtureLayer:
        """Return the mixture of one of a model's pieces; see the attributes.

        Raises:
            ComputeError: the piece is not a mixture's.
        """
        if model.mixture is None or piece.experts is None:
            raise ComputeError(f"{piece.name} has no experts")
        return cls(model, model.mixture, piece, piece.experts, reader, ahead, squares, apart)

    def run(
        self,
        streams: Steps,
        shapes: Sequence[Shape],
        norm: Inputs,
        advance: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Add the mixture's output to the streams of all groups of windows.

        Args:
            streams: the residual streams.
            shapes: shape of each group's stream.
            norm: the norm's weights.
            advance: called with the share of the layer that is done.

        Raises:
            SourceError: a weight cannot be read.
            ComputeError: onnxruntime failed.
            OSError: the disk is full.
        """
        found = blocks(shapes)
        for number, block in enumerate(found):
            ends = np.cumsum([shapes[group][0] * shapes[group][1] for group in block])
            entering = np.empty((int(ends[-1]), shapes[0][2]), np.float32)
            parts = np.split(entering, ends[:-1])
            for group, part in zip(block, parts, strict=True):
                self._normalize(streams.get(group), norm, part)
            advance((number + _NORM_SHARE) / len(found))
            total = self._outputs(entering, ends, partial(_advance, advance, number, len(found)))
            outputs = np.split(total, ends[:-1])
            for group, output in zip(block, outputs, strict=True):
                streams.step(group, partial(_add, output))
        self.reader.release(self.experts)

    def _normalize(self, stream: ort.OrtValue, norm: Inputs, part: Values) -> None:
        """Write what enters router and experts to `part`, float32 [tokens, hidden]."""
        with in_stage("computing"):
            target = self.model.empty(stream.shape())
            self.model.run(self.piece, stream, norm, {}, target)
            part[:] = target.numpy().reshape(part.shape)

    def _outputs(self, entering: Values, ends: Ends, advance: Callable[[float], None]) -> Values:
        """Return the weighted sum of the experts' outputs, float32 [tokens, hidden]; groups end before `ends`."""
        total = np.zeros_like(entering)
        waiting = self._shares(entering, ends)
        n_rows, done = sum(len(share.tokens) for share in waiting), 0
        for share, weights in read_ahead(waiting, self._read, ahead=self.ahead):
            with in_stage("computing"):
                for part in self._parts(share, ends):
                    tokens = share.tokens[part]
                    output, squares = self.model.run_expert(self.experts, entering[tokens], weights)
                    total[tokens] += output * share.weights[part, None]
                    if squares:
                        self.squares(self.experts, share.expert, len(tokens), squares)
            done += len(share.tokens)
            advance(done / n_rows)
        return total

    def _parts(self, share: Share, ends: Ends) -> Iterator[slice]:
        """Yield which of an expert's tokens run at a time."""
        places = np.searchsorted(share.tokens, ends).tolist() if self.apart else [len(share.tokens)]
        for start, end in itertools.pairwise([0, *places]):
            for first in range(start, end, CHUNK):
                yield slice(first, min(first + CHUNK, end))

    def _shares(self, entering: Values, ends: Ends) -> list[Share]:
        """Return the tokens of each expert that any token chose, and of the shared expert."""
        file, layer, mixture = self.reader.file, self.piece.layer, self.mixture
        matrix = file.dequantize(ROUTER.format(layer))
        if mixture.shared_gated:
            matrix = np.concatenate([matrix, file.dequantize(SHARED_GATE.format(layer))[None]])
        with in_stage("computing"):
            parts = np.split(entering, ends[:-1]) if self.apart else [entering]
            products = np.concatenate([self.model.products(part, matrix) for part in parts])
        logits = products[:, : mixture.experts]
        if mixture.router_bias:
            logits = logits + file.dequantize(ROUTER_BIAS.format(layer))
        selection = file.dequantize(SELECTION_BIAS.format(layer)) if mixture.selection_bias else None
        found = shares(*choose(logits, mixture.router, selection))
        if not mixture.shared_width:
            return list(found)
        gates = products[:, mixture.experts] if mixture.shared_gated else None
        return [*found, shared_share(len(entering), gates)]

    def _read(self, share: Share) -> Inputs:
        return self.model.on_device(self.reader.expert(self.experts, share.expert))


def _add(output: Values, old: ort.OrtValue, new: ort.OrtValue) -> None:
    """Write the stream plus the mixture's output, float32 [tokens, hidden]."""
    new.update_inplace(old.numpy() + output.reshape(old.shape()))


def _advance(advance: Callable[[float], None], number: int, count: int, share: float) -> None:
    """Report that a share of block `number` of `count` is done."""
    advance((number + _NORM_SHARE + (1 - _NORM_SHARE) * share) / count)
