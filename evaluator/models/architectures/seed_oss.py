"""Seed-OSS: Qwen 2 under another name of the second norm."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.parts import attention
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings)
    layers = usual_layers(settings, attends, ffn_norm="post_attention_norm")
    return decoder_of(settings, layers, settings.rotary(attends.width))


register(Architecture("seed_oss", describe=_describe))
