"""Llama 4: attention in chunks of 8,192 positions in three of four layers, no positions in the fourth, and mixtures.

A token's weight multiplies what enters an expert. Files do not state the size of chunks and what follows from it.
"""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Attention, Decoder, Temperature
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile

CHUNK = 8192
_PERIOD = 4
_HEAT = Temperature(0.1, CHUNK, 1.0)
#: Number of experts of the model whose queries and keys are not normalized.
_EXPERTS_WITHOUT_NORM = 128


def _attention(settings: Settings, layer: int, count: int) -> Attention:
    """Return the attention of a layer of a model with `count` experts."""
    if (layer + 1) % _PERIOD == 0:
        return attention(settings, rotary=None, temperature=_HEAT)
    norm = None if count == _EXPERTS_WITHOUT_NORM else "plain"
    return attention(settings, norm=norm, norm_after_rotary=True, chunk=CHUNK)


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    inner = experts(settings, gating="sigmoid", renormalized=False, weigh_inputs=True)
    attends = [_attention(settings, layer, inner.count) for layer in range(settings.layers)]
    rotary = settings.rotary(attends[0].width, interleaved=True, factors=FREQUENCY_FACTORS)
    return decoder_of(settings, usual_layers(settings, attends, inner), rotary)


register(Architecture("llama4", describe=_describe))
