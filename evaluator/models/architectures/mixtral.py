"""Mixtral: Llama with a mixture in every layer. Its files have Llama's architecture."""

from __future__ import annotations

from evaluator.models.architectures import WITH_EXPERTS, Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import INTERLEAVED
from evaluator.models.architectures.config_json import COMMON, NO_BIASES, fixed_window, full_rotary_key
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.parts import attention, experts, pre_norm_layer
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, u32
from evaluator.models.model_file import ModelFile

_DEFAULTS = {
    **COMMON,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e6,
    "max_position_embeddings": 131072,
    "num_key_value_heads": 8,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "sliding_window": None,
}


def _own_keys(config: JsonFile) -> dict[str, Typed]:
    return {
        **full_rotary_key(config),
        "expert_count": u32(config.count("num_local_experts")),
        "expert_used_count": u32(config.count("num_experts_per_tok")),
    }


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


register(
    Architecture(
        f"llama{WITH_EXPERTS}",
        checkpoints={
            "mixtral": CheckpointRules(
                _DEFAULTS, NO_BIASES, _own_keys, window=fixed_window, conversions=INTERLEAVED
            )
        },
        describe=_describe,
    )
)
