"""Command R7B and Command A: attention and feed-forward part side by side, and positions in windowed layers only."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder, FeedForward, Part
from evaluator.models.architectures.layers import decoder_of, windows
from evaluator.models.architectures.parts import attention
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile

_PERIOD = 4


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    settings.count("attention.sliding_window")
    attends = [
        attention(settings, window=size, rotary=0 if size else None) for size in windows(settings, _PERIOD)
    ]
    layers = [(Part("layer", (mixer, FeedForward()), "attn_norm"),) for mixer in attends]
    rotary = settings.rotary(attends[0].width, interleaved=True, ending="_swa")
    scale = settings.number("logit_scale", 0.0) or 1.0
    return decoder_of(settings, layers, rotary, norm="layer", logit_scale=scale)


register(Architecture("cohere2", describe=_describe))
