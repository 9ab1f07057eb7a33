"""MiniMax-M2: norms of all heads' queries and keys, partly rotated heads, and a mixture in every layer."""

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
    inner = experts(settings, gating="sigmoid", renormalized=True, selection_bias="exp_probs_b")
    return decoder_of(settings, usual_layers(settings, attends, inner), settings.rotary(attends.width))


register(Architecture("minimax-m2", describe=_describe))
