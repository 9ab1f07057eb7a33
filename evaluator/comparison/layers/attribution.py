"""Measure the divergence that each matrix of a variant causes on its own, all others being the baseline's.

One walk over the layers measures all matrices. A matrix starts a branch: its layer runs once with the variant's
matrix on the baseline's residual stream, and then the baseline's layers above run on the branch. So the weights of
both files are read once, a piece at a time.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from evaluator.comparison.layers.branches import Branches
from evaluator.comparison.layers.mixture_branches import MixtureBranches, Place
from evaluator.comparison.layers.weight_error import place_of
from evaluator.export.pieces import Piece
from evaluator.models.architectures import EMBEDDING, HEAD, head_tensor
from evaluator.models.model_file import ModelFile
from evaluator.runtime.device import Device
from evaluator.runtime.head import Head
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.piece_weights import WeightReader, read_ahead
from evaluator.texts.windows import Window, spread

#: One window in four, its first half, and on average half of the layers: a sixteenth of a full pass per matrix.
_ONE_IN, _MOST_WINDOWS = 4, 4
_MOST_ROWS = 64
#: Bytes of final hidden states that are scored at a time; the output matrices are read once for them.
_STATE_BYTES = 1 << 27
#: Branches without an exchanged matrix: the baseline, and the variant with all of its matrices.
_BASELINE, _WHOLE = "baseline", "whole"

Values = npt.NDArray[np.float32]
#: A piece's weights on the device, by input.
Held = dict[str, ort.OrtValue]


@dataclass(frozen=True)
class Attribution:
    """Mean KLDs in nats on the attribution's tokens.

    Attributes:
        causes: (layer, role) → KLD with only that matrix from the variant.
        whole: KLD of the whole variant on the same tokens.
    """

    causes: dict[Place, float]
    whole: float

    @property
    def additivity(self) -> float | None:
        """Sum of all causes over the whole: 1 if matrices do not interact."""
        return sum(self.causes.values()) / self.whole if self.whole > 0 else None


def attribution_windows(windows: Sequence[Window]) -> list[Window]:
    """Return what matrices are attributed on: the first halves of windows spread over all texts."""
    count = min(_MOST_WINDOWS, max(1, len(windows) // _ONE_IN))
    chosen = (windows[index] for index in spread(len(windows), count))
    return [
        replace(window, ids=window.ids[: len(window.ids) // 2], first_scored=window.first_scored // 2)
        for window in chosen
    ]


@dataclass(frozen=True)
class MatrixExchange:
    """What exchanges a baseline's matrices one at a time by a variant's.

    Attributes:
        baseline: the baseline's file.
        model: the pieces of its graph.
        windows: windows of one length; see `attribution_windows`.
        folder: where branches are kept if they are more than `most_bytes`.
        most_bytes: bytes of branches that may be in memory.
        ahead: whether the next piece's weights are read while one computes.
    """

    baseline: ModelFile
    model: LayeredModel
    windows: Sequence[Window]
    folder: Path
    most_bytes: int
    ahead: bool = True


class Attributor(MatrixExchange):
    """Measures the divergence that each matrix causes."""

    def attribute(self, variant: ModelFile, say: Callable[[str], None] = lambda _: None) -> Attribution:
        """Measure the variant's matrices, each alone in the baseline, and the whole variant.

        Args:
            variant: a file of the baseline's shape.
            say: called with the part being measured.

        Raises:
            SourceError: a tensor cannot be read.
            OSError: the disk is full.
        """
        with Branches(self.model, self.folder, self.most_bytes) as branches:
            places = self._walk(variant, branches, say)
            say("output matrix")
            return self._attribution(variant, places, branches)

    def _walk(self, variant: ModelFile, branches: Branches, say: Callable[[str], None]) -> list[Place]:
        """Run all branches through all layers; return the places of the exchanged matrices."""
        readers = WeightReader(self.baseline), WeightReader(variant)
        ids = np.stack([window.ids for window in self.windows])
        embedded = [self.model.embed(reader, ids) for reader in readers]
        branches.add(_BASELINE, embedded[0])
        branches.add(_WHOLE, embedded[1])
        places = [place for place in [place_of(EMBEDDING)] if place]
        for place in places:
            branches.add(place, embedded[1])
        common = self.model.window_inputs(self.baseline, *ids.shape)
        for piece, (own, other) in weights_of_both(self.model, readers, ahead=self.ahead):
            say(f"layer {piece.layer + 1} of {self.model.n_layers}")
            if piece.experts:
                mixture = MixtureBranches(self.model, self.baseline, variant, branches)
                places += mixture.step(piece, (own, other), _BASELINE, _WHOLE)
                continue
            exchanged = exchanged_weights(piece, readers[1], other)
            started = branches.run(_BASELINE, piece, common, [own | change for change in exchanged.values()])
            branches.step(piece, common, own, but={_WHOLE: own | other})
            for place, stream in zip(exchanged, started, strict=True):
                branches.add(place, stream)
            places += exchanged
        return places

    def _attribution(self, variant: ModelFile, places: Sequence[Place], branches: Branches) -> Attribution:
        rows = spread(len(self.windows[0].targets), _MOST_ROWS)
        targets = np.concatenate([window.targets[rows] for window in self.windows])
        positions = self.windows[0].first_scored + rows
        readers = WeightReader(self.baseline), WeightReader(variant)
        norms = [self.model.on_device(reader.read(self.model.pieces[-1])) for reader in readers]
        reference = branches.final(_BASELINE, positions, norms[0])

        def scored(owner: ModelFile, states: Iterable[Values]) -> list[float]:
            return divergences(owner, self.baseline, self.model.device, states, reference, targets)

        tied = head_tensor(variant) == EMBEDDING
        embedding, head = place_of(EMBEDDING), place_of(HEAD)
        mine = [place for place in places if not (tied and place == embedding)]
        finals = (branches.final(place, positions, norms[0]) for place in mine)
        causes = dict(zip(mine, scored(self.baseline, finals), strict=True))
        states = [branches.final(_WHOLE, positions, norms[1])]
        with_head: list[Place] = []
        if tied and embedding:
            with_head, states = [embedding], [*states, branches.final(embedding, positions, norms[0])]
        elif head and head_tensor(variant) == HEAD:
            with_head, states = [head], [*states, reference]
        whole, *others = scored(variant, states)
        return Attribution(causes | dict(zip(with_head, others, strict=True)), whole)


def divergences(
    owner: ModelFile,
    baseline: ModelFile,
    device: Device,
    states: Iterable[Values],
    reference: Values,
    targets: npt.NDArray[np.int32],
) -> list[float]:
    """Return the mean KLD in nats of each of many final hidden states.

    Args:
        owner: the file whose head turns `states` into logits.
        baseline: the file whose head turns `reference` into logits.
        device: where they are computed.
        states: float32 [tokens, hidden] each.
        reference: float32 [tokens, hidden].
        targets: the tokens that are predicted.

    Raises:
        SourceError: a head cannot be read.
    """
    head, remaining = Head.of(owner, baseline, device), iter(states)
    at_once = max(1, _STATE_BYTES // reference.nbytes)
    means: list[float] = []
    while group := list(itertools.islice(remaining, at_once)):
        count = len(group)
        scores = head.score(np.concatenate(group), np.tile(targets, count), np.tile(reference, (count, 1)))
        klds = np.asarray(scores.kld, np.float64).reshape(count, -1)
        means += [float(value) for value in klds.mean(axis=1)]
    return means


def weights_of_both(
    model: LayeredModel, readers: tuple[WeightReader, WeightReader], *, ahead: bool
) -> Iterator[tuple[Piece, tuple[Held, Held]]]:
    """Yield the pieces between embedding and final norm with the weights of both files.

    Args:
        model: the pieces.
        readers: of both files.
        ahead: whether the next piece's weights are read while one computes.

    Raises:
        SourceError: a tensor cannot be read.
    """

    def read(piece: Piece) -> tuple[Held, Held]:
        own, other = (model.on_device(reader.read(piece)) for reader in readers)
        return own, other

    return read_ahead(model.pieces[1:-1], read, ahead=ahead)


def exchanged_weights(piece: Piece, reader: WeightReader, weights: Held) -> dict[Place, Held]:
    """Return the matrices of a piece, each with the inputs that hold it.

    Args:
        piece: one of a model's pieces, without experts.
        reader: of the file that `weights` are from.
        weights: the piece's weights by input.
    """
    found: dict[Place, Held] = defaultdict(dict)
    for name, values in weights.items():
        place = place_of(reader.tensors.get(piece.weights[name].slot.parameter, ""))
        if place is not None:
            found[place][name] = values
    return dict(found)
