"""Qwen 3 with experts, such as Qwen3-30B-A3B: Qwen 3's attention, and a mixture in every layer."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.parts import attention, experts, pre_norm_layer
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings, norm="head")
    dense = settings.count("feed_forward_length", 1)
    inner = experts(
        settings,
        gating="softmax",
        renormalized=True,
        width=max(1, dense // settings.count("expert_used_count")),
    )
    decoder = Decoder(
        settings.count("embedding_length"),
        (pre_norm_layer(attends, inner),) * settings.layers,
        (settings.rotary(attends.width),),
        settings.positive("attention.layer_norm_rms_epsilon"),
    )
    settings.check_all_read()
    return decoder


register(Architecture("qwen3moe", describe=_describe))
