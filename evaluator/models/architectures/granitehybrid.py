"""Granite 4 and Bamba: Mamba 2 in most layers, attention in the others, with or without experts.

Attention rotates queries and keys only if the file says so.
"""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder, FeedForward, Mixer
from evaluator.models.architectures.parts import attention, experts, mamba, pre_norm_layer
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    kv_heads = settings.counts("attention.head_count_kv")
    rotates = settings.flag("rope.scaling.finetuned", True)
    attends = attention(settings, layer=kv_heads.index(max(kv_heads)), rotary=0 if rotates else None)
    state_space, inner = mamba(settings), _inner(settings)
    scale = settings.number("residual_scale", 0.0) or 1.0
    rotary = settings.rotary(attends.width, interleaved=True, factors=FREQUENCY_FACTORS)
    decoder = Decoder(
        settings.count("embedding_length"),
        tuple(pre_norm_layer(attends if count else state_space, *inner, scale=scale) for count in kv_heads),
        (rotary,) if rotates else (),
        settings.positive("attention.layer_norm_rms_epsilon"),
        embedding_scale=settings.number("embedding_scale", 0.0) or 1.0,
        logit_scale=1 / (settings.number("logit_scale", 0.0) or 1.0),
    )
    settings.check_all_read()
    return decoder


def _inner(settings: Settings) -> tuple[Mixer, ...]:
    """Return the feed-forward part, or experts and the one that all tokens pass through."""
    width = settings.count("feed_forward_length")
    if not settings.count("expert_count", 0, least=0):
        return (FeedForward(),)
    shared = settings.count("expert_shared_feed_forward_length", 0, least=0)
    routed = experts(settings, gating="softmax", renormalized=True, width=width)
    return (routed, FeedForward(suffix="_shexp")) if shared else (routed,)


register(Architecture("granitehybrid", describe=_describe))
