"""Mixtral: Llama with a mixture in every layer. Its files have Llama's architecture."""

from __future__ import annotations

from evaluator.models.architectures import WITH_EXPERTS, Architecture, register
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.parts import attention, experts, pre_norm_layer
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings)
    inner = experts(
        settings, gating="softmax", renormalized=True, width=settings.count("feed_forward_length")
    )
    decoder = Decoder(
        settings.count("embedding_length"),
        (pre_norm_layer(attends, inner),) * settings.layers,
        (settings.rotary(attends.width, interleaved=True, factors=FREQUENCY_FACTORS),),
        settings.positive("attention.layer_norm_rms_epsilon"),
    )
    settings.check_all_read()
    return decoder


register(Architecture(f"llama{WITH_EXPERTS}", describe=_describe))
