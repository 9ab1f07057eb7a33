"""Estimate the divergence that each matrix of a variant causes, in a few passes whatever the number of matrices.

A matrix moves the residual stream h behind the attention or feed-forward part that it belongs to. Its move

    m = mean over tokens of ‖Δh‖² / ‖h‖²

is measured by running this one part with the variant's matrix on the baseline's stream. Above it, the stream carries
all moves on alike: the divergence is m times one factor for the whole model. That does not hold for matrices of the
last layer, behind which nothing follows, and for those that move the stream of one token by more than the usual
stream itself: they write the attention sinks, on which all tokens depend. These are followed to the output, as
in an attribution, and so are a few others, from which the factor follows. Windows' first tokens, which are often
sinks, are left out of m. docs/quantizing.md compares the estimate with attributions.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from evaluator.comparison.layers.attribution import (
    MatrixExchange,
    divergences,
    exchanged_weights,
    weights_of_both,
)
from evaluator.comparison.layers.branches import Branches
from evaluator.comparison.layers.mixture_branches import MixtureBranches, Place
from evaluator.comparison.layers.weight_error import place_of
from evaluator.models.architectures import EMBEDDING, HEAD, head_tensor
from evaluator.models.model_file import ModelFile
from evaluator.runtime.piece_weights import WeightReader
from evaluator.texts.windows import spread

Values = npt.NDArray[np.float32]

_BASELINE = "baseline"
#: Layers of which the largest move of each part is followed to the output; tokens of each window scored there.
_FOLLOWED_LAYERS, _MOST_ROWS = 8, 64


@dataclass
class Moves:
    """What one walk over the layers found.

    Attributes:
        size: place → m of its matrix.
        followed: places whose branches run to the output.
        exceptions: those of them that tell nothing about others.
    """

    size: dict[Place, float] = field(default_factory=dict)
    followed: list[Place] = field(default_factory=list)
    exceptions: set[Place] = field(default_factory=set)

    def add(
        self, started: Mapping[Place, ort.OrtValue], stream: Values, *, probed: bool, last: bool
    ) -> list[Place]:
        """Measure the moves of one part's matrices and return those to follow.

        Args:
            started: the stream behind the part with each matrix exchanged, float32 [windows, length, hidden].
            stream: the baseline's.
            probed: whether the largest move is followed in any case.
            last: whether the part belongs to the last layer.
        """
        norms = np.square(stream, dtype=np.float64).sum(axis=-1)
        exceptions: list[Place] = []
        for place, branch in started.items():
            moved = np.square(branch.numpy() - stream, dtype=np.float64).sum(axis=-1)
            self.size[place] = float(
                (moved[:, 1:] / np.maximum(norms[:, 1:], np.finfo(np.float64).tiny)).mean()
            )
            if last or moved.max() > np.median(norms):
                exceptions.append(place)
        self.exceptions |= set(exceptions)
        others = sorted(
            (place for place in started if place not in exceptions), key=lambda place: self.size[place]
        )
        chosen = [*exceptions, *(others[-1:] if probed else ())]
        self.followed += chosen
        return chosen

    def divergences(self, measured: Mapping[Place, float]) -> dict[Place, float]:
        """Return the KLD of every place in nats, given those of the places that were followed."""
        typical = [place for place in self.followed if place not in self.exceptions] or self.followed
        factors = [
            measured[place] / self.size[place]
            for place in typical
            if measured[place] > 0 and self.size[place] > 0
        ]
        factor = float(np.exp(np.mean(np.log(factors)))) if factors else 0.0
        return {place: factor * size for place, size in self.size.items()} | dict(measured)


class Estimator(MatrixExchange):
    """Estimates the divergences of a baseline's matrices when they are a variant's."""

    def estimate(
        self, variant: ModelFile, advance: Callable[[str], None] = lambda _: None
    ) -> dict[Place, float]:
        """Return the KLD in nats that each matrix causes; that of embedding and head is measured.

        Args:
            variant: a file of the baseline's shape.
            advance: called with the part being measured.

        Raises:
            SourceError: a tensor cannot be read.
            OSError: the disk is full.
        """
        with Branches(self.model, self.folder, self.most_bytes) as branches:
            moves = self._walk(variant, branches, advance)
            advance("output matrix")
            measured, outside = self._scored(variant, branches, moves.followed)
        return moves.divergences(measured) | outside

    def _walk(self, variant: ModelFile, branches: Branches, advance: Callable[[str], None]) -> Moves:
        """Run the baseline and all that is followed through all layers."""
        readers = WeightReader(self.baseline), WeightReader(variant)
        ids = np.stack([window.ids for window in self.windows])
        branches.add(_BASELINE, self.model.embed(readers[0], ids))
        branches.add(EMBEDDING, self.model.embed(readers[1], ids))
        common = self.model.window_inputs(self.baseline, *ids.shape)
        probes = set(spread(self.model.n_layers, _FOLLOWED_LAYERS).tolist())
        moves = Moves()
        for piece, (own, other) in weights_of_both(self.model, readers, ahead=self.ahead):
            advance(f"layer {piece.layer + 1} of {self.model.n_layers}")
            if piece.experts:
                mixture = MixtureBranches(self.model, self.baseline, variant, branches)
                started = mixture.started(piece, (own, other), _BASELINE)
                mixture.advance(piece, own, {})
            else:
                exchanged = exchanged_weights(piece, readers[1], other)
                outputs = branches.run(_BASELINE, piece, common, [own | item for item in exchanged.values()])
                started = dict(zip(exchanged, outputs, strict=True))
                branches.step(piece, common, own, but={})
            if started:
                stream = branches.get(_BASELINE)  # kept, as its array only views its memory
                last = piece.layer == self.model.n_layers - 1
                for place in moves.add(started, stream.numpy(), probed=piece.layer in probes, last=last):
                    branches.add(place, started[place])
        return moves

    def _scored(
        self, variant: ModelFile, branches: Branches, followed: Sequence[Place]
    ) -> tuple[dict[Place, float], dict[Place, float]]:
        """Return the KLDs of followed places, and of embedding and head."""
        rows = spread(len(self.windows[0].targets), _MOST_ROWS)
        targets = np.concatenate([window.targets[rows] for window in self.windows])
        norm = self.model.on_device(WeightReader(self.baseline).read(self.model.pieces[-1]))

        def final(name: Hashable) -> Values:
            return branches.final(name, self.windows[0].first_scored + rows, norm)

        def scored(owner: ModelFile, names: Sequence[Hashable]) -> list[float]:
            states = (final(name) for name in names)
            return divergences(owner, self.baseline, self.model.device, states, reference, targets)

        reference = final(_BASELINE)
        embedding, head = place_of(EMBEDDING), place_of(HEAD)
        assert embedding
        assert head
        tied = head_tensor(variant) == EMBEDDING
        inner = scored(self.baseline, [*followed, *(() if tied else (EMBEDDING,))])
        (outer,) = scored(variant, [EMBEDDING if tied else _BASELINE])
        outside = {embedding: outer} if tied else {embedding: inner[-1], head: outer}
        return dict(zip(followed, inner, strict=False)), outside
