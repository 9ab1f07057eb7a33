"""ERNIE 4.5, dense or with experts in most layers: Llama with the rows of queries and keys as they were trained."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile


def _describe(file: ModelFile, *, mixture: bool = False) -> Decoder:
    settings = Settings(file)
    attends = attention(settings)
    inner = None
    if mixture:
        inner = experts(settings, gating="softmax", renormalized=True, selection_bias="exp_probs_b")
    rotary = settings.rotary(attends.width, interleaved=True)
    return decoder_of(settings, usual_layers(settings, attends, inner), rotary)


def _describe_mixture(file: ModelFile) -> Decoder:
    return _describe(file, mixture=True)


register(Architecture("ernie4_5", describe=_describe))
register(Architecture("ernie4_5-moe", describe=_describe_mixture))
