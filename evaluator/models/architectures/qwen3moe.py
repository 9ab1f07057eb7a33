"""Qwen 3 with experts, such as Qwen3-30B-A3B: Qwen 3's attention, and a mixture in every layer."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import JOINED_EXPERTS
from evaluator.models.architectures.config_json import ALL_EXPERTS, COMMON, NO_BIASES, expert_keys
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.parts import attention, experts, pre_norm_layer
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.model_file import ModelFile

_DEFAULTS = {
    **COMMON,
    "max_position_embeddings": 32768,
    "num_key_value_heads": 4,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 768,
    "norm_topk_prob": False,
    "use_sliding_window": False,
    "sliding_window": 4096,
}


def _window(config: JsonFile) -> int | None:
    used = config.values.get("use_sliding_window") and config.values.get("sliding_window") is not None
    return config.count("sliding_window") if used else None


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
        (settings.rotary(attends.width, factors=FREQUENCY_FACTORS),),
        settings.positive("attention.layer_norm_rms_epsilon"),
    )
    settings.check_all_read()
    return decoder


register(
    Architecture(
        "qwen3moe",
        checkpoints={
            "qwen3_moe": CheckpointRules(
                _DEFAULTS,
                {**NO_BIASES, **ALL_EXPERTS, "norm_topk_prob": True},
                expert_keys,
                window=_window,
                conversions=JOINED_EXPERTS,
            )
        },
        describe=_describe,
    )
)
