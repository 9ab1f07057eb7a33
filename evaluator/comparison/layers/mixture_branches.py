"""Run the branches of an attribution through the mixture of a layer."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import onnxruntime as ort

from evaluator.comparison.layers.branches import Branches
from evaluator.comparison.layers.weight_error import place_of
from evaluator.export.pieces import Piece
from evaluator.models.exchanged import Exchanged
from evaluator.models.model_file import ModelFile
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.mixture_layer import MixtureLayer, Steps
from evaluator.runtime.piece_runs import Inputs
from evaluator.runtime.piece_weights import WeightReader
from evaluator.runtime.streams import Step

Place = tuple[int, str]


@dataclass(frozen=True)
class MixtureBranches:
    """Exchanges the tensors of a mixture: router, experts and shared expert, all experts of a layer together.

    Attributes:
        model: the pieces.
        baseline: the file with the weights of all branches but one.
        variant: the file whose tensors are exchanged.
        branches: the branches.
    """

    model: LayeredModel
    baseline: ModelFile
    variant: ModelFile
    branches: Branches

    def step(
        self, piece: Piece, weights: tuple[Inputs, Inputs], start: Hashable, whole: Hashable
    ) -> list[Place]:
        """Run all branches through a layer's mixture, and start one per tensor of it, named by its place.

        Args:
            piece: the layer's feed-forward part.
            weights: the piece's weights in both files.
            start: the branch that new ones start from.
            whole: the branch with all weights from the variant.

        Returns:
            The places of the tensors.

        Raises:
            SourceError: a tensor cannot be read.
            OSError: the disk is full.
        """
        started = self.started(piece, weights, start)
        self.advance(piece, weights[0], {whole: weights[1]})
        for place, stream in started.items():
            self.branches.add(place, stream)
        return list(started)

    def started(
        self, piece: Piece, weights: tuple[Inputs, Inputs], start: Hashable
    ) -> dict[Place, ort.OrtValue]:
        """Return the stream behind a layer's mixture with each tensor of it exchanged, by place; see `step`.

        Raises:
            SourceError: a tensor cannot be read.
        """
        started: dict[Place, ort.OrtValue] = {}
        for place, names in self._tensors(piece).items():
            copy, mixed = _Copy(self.branches.get(start), self.model), dict(weights[0])
            mixed |= {
                key: weights[1][key] for key, item in piece.weights.items() if item.slot.parameter in names
            }
            self._run(piece, Exchanged.of(self.baseline, self.variant, names), copy, 1, mixed)
            started[place] = copy.stream
        return started

    def advance(self, piece: Piece, own: Inputs, but: Mapping[Hashable, Inputs]) -> None:
        """Run all branches through a layer's mixture: with weights `own`, or the variant's that `but` has for some.

        Raises:
            SourceError: a tensor cannot be read.
            OSError: the disk is full.
        """
        others = [name for name in self.branches.names if name not in but]
        self._run(piece, self.baseline, _Named(self.branches, others, self.model), len(others), own)
        for name, weights in but.items():
            self._run(piece, self.variant, _Named(self.branches, [name], self.model), 1, weights)

    def _tensors(self, piece: Piece) -> dict[Place, list[str]]:
        """Return the matrices of the layer's mixture by place."""
        found: dict[Place, list[str]] = {}
        held = [*piece.weights.values(), *(piece.experts.weights.values() if piece.experts else ())]
        for tensor in dict.fromkeys(weight.slot.parameter for weight in held):
            if place := place_of(tensor):
                found.setdefault(place, []).append(tensor)
        return found

    def _run(self, piece: Piece, file: ModelFile, steps: Steps, count: int, weights: Inputs) -> None:
        """Run `count` streams through the mixture of a file."""
        layer = MixtureLayer.of(self.model, piece, WeightReader(file), apart=True)
        windows, length, hidden = steps.get(0).shape()
        layer.run(steps, [(windows, length, hidden)] * count, weights)


class _Copy:
    """A stream that steps without changing the original."""

    def __init__(self, stream: ort.OrtValue, model: LayeredModel) -> None:
        self.stream, self._model = stream, model

    def get(self, group: int) -> ort.OrtValue:
        return self.stream

    def step(self, group: int, run: Step) -> None:
        target = self._model.empty(self.stream.shape())
        run(self.stream, target)
        self.stream = target


class _Named:
    """Branches by number."""

    def __init__(self, branches: Branches, names: Sequence[Hashable], model: LayeredModel) -> None:
        self._branches, self._names, self._model = branches, names, model

    def get(self, group: int) -> ort.OrtValue:
        return self._branches.get(self._names[group])

    def step(self, group: int, run: Step) -> None:
        stream = self.get(group)
        target = self._model.empty(stream.shape())
        run(stream, target)
        self._branches.replace(self._names[group], target)
