"""The language models of Qwen3-VL, dense or with experts: for a text they are Qwen 3.

Files of their image encoders are apart.
"""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile


def _describe(file: ModelFile, *, mixture: bool = False) -> Decoder:
    settings = Settings(file)
    attends = attention(settings, norm="head")
    inner = None
    if mixture:
        dense = settings.count("feed_forward_length", 1)
        width = max(1, dense // settings.count("expert_used_count"))
        inner = experts(settings, gating="softmax", renormalized=True, width=width)
    return decoder_of(settings, usual_layers(settings, attends, inner), settings.rotary(attends.width))


def _describe_mixture(file: ModelFile) -> Decoder:
    return _describe(file, mixture=True)


register(Architecture("qwen3vl", describe=_describe))
register(Architecture("qwen3vlmoe", describe=_describe_mixture))
