"""dots.llm1: Qwen 3's attention and DeepSeek V3's mixture, behind a few dense layers."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings, norm="head")
    inner = experts(settings, gating="sigmoid", renormalized=False, selection_bias="exp_probs_b")
    return decoder_of(settings, usual_layers(settings, attends, inner), settings.rotary(attends.width))


register(Architecture("dots1", describe=_describe))
