"""Seed-OSS: Qwen 2 under another name of the second norm."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.config_json import COMMON, WHOLE_HEADS
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.parts import attention
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile

_DEFAULTS = {
    **COMMON,
    "max_position_embeddings": 524288,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "attention_bias": True,
    "attention_out_bias": False,
    "mlp_bias": False,
}


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings)
    layers = usual_layers(settings, attends, ffn_norm="post_attention_norm")
    return decoder_of(settings, layers, settings.rotary(attends.width))


register(
    Architecture(
        "seed_oss",
        checkpoints={
            "seed_oss": CheckpointRules(
                _DEFAULTS, {**WHOLE_HEADS, "attention_out_bias": False, "mlp_bias": False}
            )
        },
        describe=_describe,
    )
)
