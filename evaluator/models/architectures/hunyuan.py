"""Hunyuan, dense or with experts: queries and keys are normalized after the rotation."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile


def _describe(file: ModelFile, *, mixture: bool = False) -> Decoder:
    settings = Settings(file)
    attends = attention(settings, norm="head", norm_after_rotary=True)
    inner = experts(settings, gating="softmax", renormalized=True) if mixture else None
    rotary = settings.rotary(attends.width, factors=FREQUENCY_FACTORS)
    return decoder_of(settings, usual_layers(settings, attends, inner), rotary)


def _describe_mixture(file: ModelFile) -> Decoder:
    return _describe(file, mixture=True)


register(Architecture("hunyuan-dense", describe=_describe))
register(Architecture("hunyuan-moe", describe=_describe_mixture))
