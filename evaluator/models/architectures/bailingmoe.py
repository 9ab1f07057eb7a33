"""Ling and Ring, first and second generation: a mixture with shared experts; the second has norms of heads."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    # A head is as wide as what is rotated; files may not state its width.
    given = {} if settings.has("attention.key_length") else {"width": settings.count("rope.dimension_count")}
    attends = attention(settings, **given)
    inner = experts(settings, gating="softmax", renormalized=False)
    rotary = settings.rotary(attends.width, interleaved=True, factors=FREQUENCY_FACTORS)
    return decoder_of(settings, usual_layers(settings, attends, inner), rotary)


def _describe_second(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings, norm="head")
    inner = experts(settings, gating="sigmoid", renormalized=False, selection_bias="exp_probs_b")
    return decoder_of(settings, usual_layers(settings, attends, inner), settings.rotary(attends.width))


register(Architecture("bailingmoe", describe=_describe))
register(Architecture("bailingmoe2", describe=_describe_second))
