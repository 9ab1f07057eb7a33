"""Put together the layers of a decoder from metadata and from the tensors that the file has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from evaluator.models.architectures.description import Decoder, Layer
from evaluator.models.architectures.mixers import Attention, Experts, FeedForward, Mixer
from evaluator.models.architectures.parts import pre_norm_layer
from evaluator.models.architectures.rotary_set import RotarySet
from evaluator.models.architectures.settings import Settings

#: The expert that all tokens pass through.
SHARED = FeedForward(suffix="_shexp")


def windows(settings: Settings, period: int) -> tuple[int | None, ...]:
    """Return each layer's window, None for those that attend to all positions.

    Args:
        settings: the file's.
        period: number of layers of which the last attends to all, if the file has a window but no pattern.

    Raises:
        SourceError: a setting is not valid.
    """
    size = settings.count("attention.sliding_window", 0, least=0)
    name = "attention.sliding_window_pattern"
    if isinstance(settings.read(name), (list, np.ndarray)):
        windowed = settings.flags(name)
    else:
        period = settings.count(name, period)
        windowed = tuple((layer + 1) % period != 0 for layer in range(settings.layers))
    return tuple(size if size and slides else None for slides in windowed)


def has(settings: Settings, role: str, layer: int) -> bool:
    """Return whether a layer has a tensor with a role."""
    return f"blk.{layer}.{role}.weight" in settings.file.tensors


def has_mixture(settings: Settings) -> bool:
    """Return whether any layer has a router."""
    return any(has(settings, "ffn_gate_inp", layer) for layer in range(settings.layers))


def inner_parts(
    settings: Settings, layer: int, mixture: Experts | None, dense: FeedForward | None = None
) -> tuple[Mixer, ...]:
    """Return what follows attention in a layer: a mixture where there is a router, with its shared expert if any.

    Args:
        settings: the file's.
        layer: the layer.
        mixture: the experts of layers with a router.
        dense: the feed-forward part of the others.
    """
    if mixture is None or not has(settings, "ffn_gate_inp", layer):
        return (dense or FeedForward(),)
    shared = (SHARED,) if has(settings, f"ffn_up{SHARED.suffix}", layer) else ()
    return (mixture, *shared)


def usual_layers(
    settings: Settings,
    attends: Attention | Sequence[Attention],
    mixture: Experts | None = None,
    dense: FeedForward | None = None,
    *,
    ffn_norm: str = "ffn_norm",
    scale: float = 1.0,
) -> tuple[Layer, ...]:
    """Return layers of the usual form; see `inner_parts` and `pre_norm_layer`.

    Args:
        settings: the file's.
        attends: attention, the same in all layers or one for each.
        mixture: the experts of layers with a router.
        dense: the feed-forward part of the others.
        ffn_norm: role of the norm before it.
        scale: factor of changes of the stream.
    """
    each = [attends] * settings.layers if isinstance(attends, Attention) else attends
    return tuple(
        pre_norm_layer(mixer, *inner_parts(settings, layer, mixture, dense), ffn_norm=ffn_norm, scale=scale)
        for layer, mixer in enumerate(each)
    )


def decoder_of(settings: Settings, layers: Iterable[Layer], *rotary: RotarySet, **changes: Any) -> Decoder:
    """Return a decoder with these layers, after a check that all settings were read.

    Args:
        settings: the file's.
        layers: its layers.
        rotary: its sets of rotary frequencies.
        changes: further attributes.

    Raises:
        SourceError: a setting is missing, not valid, or not computed.
    """
    kinds = ("layer_norm_rms", "layer_norm")
    kind, other = reversed(kinds) if changes.get("norm") == "layer" else kinds
    epsilon = settings.positive(f"attention.{kind}_epsilon")
    settings.read(f"attention.{other}_epsilon")  # some configurations have one for norms that there are not
    decoder = Decoder(settings.count("embedding_length"), tuple(layers), rotary, epsilon, **changes)
    settings.check_all_read()
    return decoder
