"""EXAONE 4: norms behind the parts of a layer. If there are windows, layers without one have no positions."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers, windows
from evaluator.models.architectures.olmo2 import post_norm_layer
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile

_PERIOD = 4


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    found = windows(settings, _PERIOD)
    attends = [
        attention(settings, norm="head", window=size, rotary=0 if size or not any(found) else None)
        for size in found
    ]
    rotary = settings.rotary(attends[0].width, ending="_swa", factors=FREQUENCY_FACTORS)
    return decoder_of(settings, map(post_norm_layer, attends), rotary)


def _describe_mixture(file: ModelFile) -> Decoder:
    settings = Settings(file)
    settings.count("attention.sliding_window")
    attends = [
        attention(settings, norm="head", window=size, rotary=0 if size else None)
        for size in windows(settings, _PERIOD)
    ]
    inner = experts(settings, gating="sigmoid", renormalized=False, selection_bias="exp_probs_b")
    rotary = settings.rotary(attends[0].width, ending="_swa", factors=FREQUENCY_FACTORS)
    return decoder_of(settings, usual_layers(settings, attends, inner), rotary)


register(Architecture("exaone4", describe=_describe))
register(Architecture("exaone-moe", describe=_describe_mixture))
