"""Qwen 2 with experts, such as Qwen1.5-MoE-A2.7B: Qwen 2's attention with biases, and a gated shared expert.

The chosen experts' scores are not divided by their sum.
"""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder, FeedForward
from evaluator.models.architectures.parts import attention, experts, pre_norm_layer
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile

_SHARED = FeedForward(suffix="_shexp", weigher="ffn_gate_inp_shexp")


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings)
    dense = settings.count("feed_forward_length", 1)
    inner = experts(
        settings,
        gating="softmax",
        renormalized=False,
        width=max(1, dense // settings.count("expert_used_count")),
    )
    settings.count("expert_shared_feed_forward_length", 0, least=0)  # the tensors show it
    decoder = Decoder(
        settings.count("embedding_length"),
        (pre_norm_layer(attends, inner, _SHARED),) * settings.layers,
        (settings.rotary(attends.width),),
        settings.positive("attention.layer_norm_rms_epsilon"),
    )
    settings.check_all_read()
    return decoder


register(Architecture("qwen2moe", describe=_describe))
