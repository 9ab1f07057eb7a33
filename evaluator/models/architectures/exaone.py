"""EXAONE 3 and 3.5: Llama with the rows of queries and keys as they were trained."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.parts import attention
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings)
    rotary = settings.rotary(attends.width, factors=FREQUENCY_FACTORS)
    return decoder_of(settings, usual_layers(settings, attends), rotary)


register(Architecture("exaone", describe=_describe))
