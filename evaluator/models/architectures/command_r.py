"""Command R: attention and feed-forward part side by side, behind one layer norm."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder, Part
from evaluator.models.architectures.layers import decoder_of
from evaluator.models.architectures.mixers import FeedForward
from evaluator.models.architectures.parts import attention
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings)
    layer = (Part("layer", (attends, FeedForward()), "attn_norm"),)
    rotary = settings.rotary(attends.width, interleaved=True)
    scale = settings.number("logit_scale", 0.0) or 1.0
    return decoder_of(settings, (layer,) * settings.layers, rotary, norm="layer", logit_scale=scale)


register(Architecture("command-r", describe=_describe))
