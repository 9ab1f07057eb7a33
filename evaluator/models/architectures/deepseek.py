"""The first DeepSeek mixtures: Llama's attention, leading dense layers, shared experts."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.deepseek2 import leading_dense
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.parts import attention, pre_norm_layer
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings)
    decoder = Decoder(
        settings.count("embedding_length"),
        tuple(pre_norm_layer(attends, *inner) for inner in leading_dense(settings, "softmax")),
        (settings.rotary(attends.width, interleaved=True, factors=FREQUENCY_FACTORS),),
        settings.positive("attention.layer_norm_rms_epsilon"),
    )
    settings.check_all_read()
    return decoder


register(Architecture("deepseek", describe=_describe))
