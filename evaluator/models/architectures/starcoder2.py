"""StarCoder 2 and Nemotron 4: layer norms with offsets, and feed-forward parts without a gate."""

from __future__ import annotations

from functools import partial

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.mixers import Activation, FeedForward
from evaluator.models.architectures.parts import attention
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile


def _describe(file: ModelFile, *, activation: Activation) -> Decoder:
    settings = Settings(file)
    attends = attention(settings)
    layers = usual_layers(settings, attends, dense=FeedForward(activation=activation, gated=False))
    return decoder_of(settings, layers, settings.rotary(attends.width), norm="layer")


register(Architecture("starcoder2", describe=partial(_describe, activation="gelu_tanh")))
register(Architecture("nemotron", describe=partial(_describe, activation="relu_squared")))
