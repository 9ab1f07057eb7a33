"""Gemma 3 (text): one full layer after five windowed ones, two rotary bases, norms on queries and keys."""

from __future__ import annotations

from typing import Any

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.config_json import NO_BIASES, window_keys
from evaluator.models.architectures.decoder import (
    PROJECTIONS,
    QUERY_KEY_NORMS,
    decoder_config,
    layer_types,
    number,
    optional_number,
    sliding_window,
)
from evaluator.models.architectures.gemma import GELU, NO_SPACE_PREFIX
from evaluator.models.architectures.gemma2 import GEMMA2_DEFAULTS, SANDWICH_NORMS, query_scalar
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, f32
from evaluator.models.model_file import ModelFile

_PERIOD = 6
_LAYERS_OF_27B = 62
_DEFAULTS = {
    **{key: value for key, value in GEMMA2_DEFAULTS.items() if key != "attn_logit_softcapping"},
    "max_position_embeddings": 131072,
    "num_attention_heads": 8,
    "rope_theta": 1e6,
    "rope_local_base_freq": 10000.0,
    "vocab_size": 262208,
    "final_logit_softcapping": None,
    "sliding_window_pattern": _PERIOD,
}
_FIXED = {**NO_BIASES, "attn_logit_softcapping": None, "use_bidirectional_attention": False}


def _gemma3_config(file: ModelFile) -> dict[str, Any]:
    settings = decoder_config(file, own_keys=("final_logit_softcapping",))
    n_layers = settings["num_hidden_layers"]
    window = sliding_window(file)
    return settings | {
        "hidden_activation": GELU,
        "sliding_window": window,
        "layer_types": layer_types(file, n_layers, _PERIOD) if window else ["full_attention"] * n_layers,
        "query_pre_attn_scalar": query_scalar(settings, _LAYERS_OF_27B),
        "rope_local_base_freq": number(file, "gemma3.rope.freq_base_swa", 10000.0),
        "final_logit_softcapping": optional_number(file, "gemma3.final_logit_softcapping"),
    }


def _own_keys(config: JsonFile) -> dict[str, Typed]:
    local = config.within("rope_parameters").within("sliding_attention")
    base = local.number("rope_theta", config.number("rope_local_base_freq"))
    period = config.count("sliding_window_pattern", _PERIOD)
    keys = {**window_keys(config, period, _PERIOD), "rope.freq_base_swa": f32(base)}
    if config.values.get("final_logit_softcapping") is not None:
        keys["final_logit_softcapping"] = f32(config.number("final_logit_softcapping"))
    return keys


register(
    Architecture(
        name="gemma3",
        model_type="gemma3_text",
        config=_gemma3_config,
        tensors=SANDWICH_NORMS | PROJECTIONS | QUERY_KEY_NORMS,
        checkpoints={
            "gemma3_text": CheckpointRules(
                _DEFAULTS,
                _FIXED,
                _own_keys,
                activation=("hidden_activation", (GELU,)),
                overrides=NO_SPACE_PREFIX,
            )
        },
        norm_offset=1.0,
    )
)
