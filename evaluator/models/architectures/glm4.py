"""GLM-4 and GLM-4.5: half of a head's dimensions are rotated; GLM-4 has norms before and behind parts of layers."""

from __future__ import annotations

from typing import Any

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder, FeedForward, Part
from evaluator.models.architectures.layers import decoder_of, has, usual_layers
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile

_SECTIONS = "rope.dimension_sections"


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings)
    layer = (
        Part("attention", (attends,), "attn_norm", post_norm="post_attention_norm"),
        Part("feed_forward", (FeedForward(),), "ffn_norm", post_norm="post_ffw_norm"),
    )
    # Converters rearrange the rows of models that also see images, whose positions have several parts.
    sections: Any = settings.read(_SECTIONS)
    interleaved = not any(sections if sections is not None else ())
    rotary = settings.rotary(attends.width, interleaved=interleaved)
    return decoder_of(settings, (layer,) * settings.layers, rotary)


def _describe_mixture(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings, norm="head" if has(settings, "attn_q_norm", 0) else None)
    inner = experts(settings, gating="sigmoid", renormalized=False, selection_bias="exp_probs_b")
    layers = usual_layers(settings, attends, inner, ffn_norm="post_attention_norm")
    return decoder_of(settings, layers, settings.rotary(attends.width))


register(Architecture("glm4", describe=_describe))
register(Architecture("glm4moe", describe=_describe_mixture))
