"""Ministral 3: Llama with YaRN, and queries that grow beyond the original context."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder, Temperature
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.parts import attention
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    factor = settings.number("attention.temperature_scale", 0.0)
    width = attention(settings).width
    rotary = settings.rotary(width, interleaved=True, factors=FREQUENCY_FACTORS)
    heat = Temperature(factor, rotary.original) if factor else None
    attends = attention(settings, temperature=heat)
    return decoder_of(settings, usual_layers(settings, attends), rotary)


register(Architecture("mistral3", describe=_describe))
