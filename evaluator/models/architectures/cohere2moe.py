"""Cohere's mixtures: attention and experts side by side, and positions in windowed and dense layers only."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder, Layer, Part
from evaluator.models.architectures.layers import SHARED, decoder_of, has, inner_parts, windows
from evaluator.models.architectures.mixers import Attention, Experts, FeedForward
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError

_KEPT = "norm of the layer's input"


def _layer(settings: Settings, layer: int, attends: Attention, inner: Experts) -> Layer:
    """Return a layer; its experts see the same norm as attention, which comes first."""
    if not has(settings, "ffn_gate_inp", layer):
        return (Part("layer", (attends, FeedForward()), "attn_norm"),)
    mixers = inner_parts(settings, layer, inner)
    return (
        Part("attention", (attends,), "attn_norm", keeps=_KEPT),
        Part("feed_forward", mixers, None, scale=0.5 if SHARED in mixers else 1.0, reads=_KEPT),
    )


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    if not settings.has("attention.sliding_window_pattern"):
        raise SourceError(file.path, "which layers have a window is not stated: convert it again")
    settings.count("attention.sliding_window")
    inner = experts(settings, gating="sigmoid", renormalized=False)
    layers = []
    for layer, window in enumerate(windows(settings, 1)):
        rotates = window or not has(settings, "ffn_gate_inp", layer)
        attends = attention(settings, window=window, rotary=0 if rotates else None)
        layers.append(_layer(settings, layer, attends, inner))
    return decoder_of(
        settings,
        layers,
        settings.rotary(attention(settings).width, interleaved=True, ending="_swa"),
        norm="rms" if settings.has("attention.layer_norm_rms_epsilon") else "layer",
        logit_scale=settings.number("logit_scale", 0.0) or 1.0,
        kept=((_KEPT, settings.count("embedding_length")),),
    )


register(Architecture("cohere2moe", describe=_describe))
