"""Nemotron-H: one part per layer: Mamba 2, attention without rotation, or a squared ReLU, dense or as experts."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder, Layer, Part
from evaluator.models.architectures.mixers import Activation, FeedForward, Mixer
from evaluator.models.architectures.parts import attention, experts, mamba
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile

_ACTIVATION: Activation = "relu_squared"
_NORM = "attn_norm"


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    epsilon = settings.positive(
        "attention.layer_norm_rms_epsilon", settings.positive("attention.layer_norm_epsilon")
    )
    for name in ("rope.dimension_count", "rope.freq_base"):
        settings.read(name)  # nothing is rotated
    decoder = Decoder(
        settings.count("embedding_length"),
        tuple(_layer(settings, layer) for layer in range(settings.layers)),
        epsilon=epsilon,
    )
    settings.check_all_read()
    return decoder


def _layer(settings: Settings, layer: int) -> Layer:
    """Return the only part of a layer."""
    if settings.counts("feed_forward_length")[layer]:
        return (Part("feed_forward", _inner(settings, layer), _NORM),)
    if settings.counts("attention.head_count_kv")[layer]:
        return (Part("attention", (attention(settings, layer, rotary=None),), _NORM),)
    return (Part("attention", (mamba(settings),), _NORM),)


def _inner(settings: Settings, layer: int) -> tuple[Mixer, ...]:
    """Return the feed-forward part, or experts and the one that all tokens pass through."""
    if not settings.count("expert_count", 0, least=0):
        return (FeedForward(activation=_ACTIVATION, gated=False),)
    for name in ("expert_shared_count", "expert_shared_feed_forward_length"):
        settings.read(name)  # the tensors show it
    routed = experts(
        settings,
        layer,
        gating="sigmoid",
        renormalized=False,
        width=settings.counts("feed_forward_length")[layer],
        activation=_ACTIVATION,
        gated=False,
        selection_bias="exp_probs_b",
        latent=settings.count("moe_latent_size", 0, least=0) or None,
    )
    return routed, FeedForward(activation=_ACTIVATION, gated=False, suffix="_shexp")


for _name in ("nemotron_h", "nemotron_h_moe"):
    register(Architecture(_name, describe=_describe))
