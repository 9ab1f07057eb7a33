"""Ministral 3: Llama with YaRN, and queries that grow beyond the original context."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import INTERLEAVED
from evaluator.models.architectures.config_json import (
    COMMON,
    NO_BIASES,
    fixed_window,
    full_rotary_key,
    rotary_settings,
)
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.mixers import Temperature
from evaluator.models.architectures.parts import attention
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, f32
from evaluator.models.model_file import ModelFile

_DEFAULTS = {
    **COMMON,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 262144,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "sliding_window": None,
}


def _own_keys(config: JsonFile) -> dict[str, Typed]:
    beta = rotary_settings(config).values.get("llama_4_scaling_beta")
    heat = rotary_settings(config).number("llama_4_scaling_beta") if beta else 0.0
    return {**full_rotary_key(config), "attention.temperature_scale": f32(heat)}


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    factor = settings.number("attention.temperature_scale", 0.0)
    width = attention(settings).width
    rotary = settings.rotary(width, interleaved=True, factors=FREQUENCY_FACTORS)
    heat = Temperature(factor, rotary.original) if factor else None
    attends = attention(settings, temperature=heat)
    return decoder_of(settings, usual_layers(settings, attends), rotary)


register(
    Architecture(
        "mistral3",
        checkpoints={
            "ministral3": CheckpointRules(
                _DEFAULTS, NO_BIASES, _own_keys, window=fixed_window, conversions=INTERLEAVED
            )
        },
        describe=_describe,
    )
)
