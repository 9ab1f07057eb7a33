"""OLMoE: norms of all heads' queries and keys, and a mixture whose chosen scores are not divided by their sum."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings, norm="all")
    width = settings.count("feed_forward_length")
    inner = experts(settings, gating="softmax", renormalized=False, width=width)
    return decoder_of(settings, usual_layers(settings, attends, inner), settings.rotary(attends.width))


register(Architecture("olmoe", describe=_describe))
