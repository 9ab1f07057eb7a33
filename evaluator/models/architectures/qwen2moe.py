"""Qwen 2 with experts, such as Qwen1.5-MoE-A2.7B: Qwen 2's attention with biases, and a gated shared expert.

The chosen experts' scores are not divided by their sum.
"""

from __future__ import annotations

from functools import partial

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import JOINED_EXPERTS
from evaluator.models.architectures.config_json import ALL_EXPERTS, WHOLE_HEADS, expert_keys
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.mixers import FeedForward
from evaluator.models.architectures.parts import attention, experts, pre_norm_layer
from evaluator.models.architectures.qwen2 import QWEN2_DEFAULTS, qwen_window
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile

_SHARED_WIDTH = "shared_expert_intermediate_size"
_DEFAULTS = {
    **{key: value for key, value in QWEN2_DEFAULTS.items() if key != "layer_types"},
    "num_key_value_heads": 16,
    "num_experts": 60,
    "num_experts_per_tok": 4,
    "moe_intermediate_size": 1408,
    _SHARED_WIDTH: 5632,
}
_FIXED = {**WHOLE_HEADS, **ALL_EXPERTS, "norm_topk_prob": False, "qkv_bias": True}
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
        (settings.rotary(attends.width, factors=FREQUENCY_FACTORS),),
        settings.positive("attention.layer_norm_rms_epsilon"),
    )
    settings.check_all_read()
    return decoder


register(
    Architecture(
        "qwen2moe",
        checkpoints={
            "qwen2_moe": CheckpointRules(
                _DEFAULTS,
                _FIXED,
                partial(expert_keys, shared=_SHARED_WIDTH),
                window=qwen_window,
                conversions=JOINED_EXPERTS,
            )
        },
        describe=_describe,
    )
)
