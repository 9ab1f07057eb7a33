"""Describe a decoder, layer by layer, in terms of what its layers compute.

A family's module returns a `Decoder` for a file; `evaluator.export.composing` turns it into graphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evaluator.models.architectures.mixers import Experts, Mixer
from evaluator.models.architectures.rotary_set import RotarySet

NormKind = Literal["rms", "layer"]
PartName = Literal["attention", "feed_forward", "layer"]


@dataclass(frozen=True)
class Part:
    """stream + scale · norm(Σ mixers(norm(stream))).

    Attributes:
        name: what the part is in a layer.
        mixers: what is computed, all from the same input.
        norm: role of the norm before them, None without one.
        post_norm: role of the norm of their sum, None without one.
        scale: factor of the change.
        output_scale: role of a number that the new stream is multiplied by.
        residual: whether the mixers' sum is added to the stream; else it replaces the stream.
        keeps: name of the stream's field in which what enters the mixers is kept for a later part.
        reads: name of the field with what enters the mixers, instead of a norm of the stream.
    """

    name: PartName
    mixers: tuple[Mixer, ...]
    norm: str | None
    post_norm: str | None = None
    scale: float = 1.0
    output_scale: str | None = None
    residual: bool = True
    keeps: str | None = None
    reads: str | None = None

    @property
    def experts(self) -> Experts | None:
        """The experts among its mixers."""
        return next((mixer for mixer in self.mixers if isinstance(mixer, Experts)), None)


Layer = tuple[Part, ...]


@dataclass(frozen=True)
class LayerInputs:
    """Inputs of all layers that come from a second embedding and a product with the first; `width` for each layer."""

    width: int


@dataclass(frozen=True)
class Decoder:
    """A model.

    Attributes:
        hidden: width of the residual stream.
        layers: its layers.
        rotary: sets of rotary frequencies.
        epsilon: what norms add to the mean square.
        norm: kind of all norms but those of heads.
        embedding_scale: factor of the embedding.
        embedding_norm: name of a norm of the embedding, None without one.
        output_norm: name of the final norm.
        logit_scale: factor of the logits.
        softcap: the c of logits that are c · tanh(logits / c), None without.
        layer_inputs: inputs per layer.
        streams: number of streams that layers compute side by side.
        kept: name → width of fields of the stream in which layers keep something for later ones.
    """

    hidden: int
    layers: tuple[Layer, ...]
    rotary: tuple[RotarySet, ...] = ()
    epsilon: float = 1e-6
    norm: NormKind = "rms"
    embedding_scale: float = 1.0
    embedding_norm: str | None = None
    output_norm: str = "output_norm"
    logit_scale: float = 1.0
    softcap: float | None = None
    layer_inputs: LayerInputs | None = None
    streams: int = 1
    kept: tuple[tuple[str, int], ...] = ()

    @property
    def experts(self) -> Experts | None:
        """The experts of the first layer that has some."""
        return next((part.experts for layer in self.layers for part in layer if part.experts), None)
