"""Gemma 2: norms before and after attention and MLP, every other layer windowed, soft-capped logits."""

from __future__ import annotations

from typing import Any

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.config_json import COMMON, NO_BIASES, window_keys
from evaluator.models.architectures.decoder import (
    PROJECTIONS,
    decoder_config,
    layer_types,
    number,
    sliding_window,
)
from evaluator.models.architectures.gemma import GELU, NO_SPACE_PREFIX
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, f32
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError

SANDWICH_NORMS = {
    "model.layers.{}.input_layernorm.weight": "blk.{}.attn_norm.weight",
    "model.layers.{}.post_attention_layernorm.weight": "blk.{}.post_attention_norm.weight",
    "model.layers.{}.pre_feedforward_layernorm.weight": "blk.{}.ffn_norm.weight",
    "model.layers.{}.post_feedforward_layernorm.weight": "blk.{}.post_ffw_norm.weight",
    "model.norm.weight": "output_norm.weight",
}
_WINDOW, _PERIOD = 4096, 2
_LAYERS_OF_27B = 46
GEMMA2_DEFAULTS = {
    **COMMON,
    "tie_word_embeddings": True,
    "head_dim": 256,
    "max_position_embeddings": 8192,
    "num_key_value_heads": 4,
    "hidden_activation": GELU,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "layer_types": None,
    "final_logit_softcapping": 30.0,
    "attn_logit_softcapping": 50.0,
}


def query_scalar(settings: dict[str, Any], layers_of_27b: int) -> int:
    """Return the number whose root divides queries: the width of a head, or hidden / heads in the 27B models.

    Files do not contain it; the 27B models are recognized by their number of layers.
    """
    if settings["num_hidden_layers"] == layers_of_27b:
        return int(settings["hidden_size"] // settings["num_attention_heads"])
    return int(settings["head_dim"])


def _gemma2_config(file: ModelFile) -> dict[str, Any]:
    settings = decoder_config(file, own_keys=("attn_logit_softcapping", "final_logit_softcapping"))
    base = number(file, "gemma2.rope.freq_base_swa", settings["rope_theta"])
    if base != settings["rope_theta"]:
        raise SourceError(
            file.path, f"windowed layers of gemma2 with a rotary base of {base:g} are not supported"
        )
    return settings | {
        "hidden_activation": GELU,
        "sliding_window": sliding_window(file) or _WINDOW,
        "layer_types": layer_types(file, settings["num_hidden_layers"], _PERIOD),
        "query_pre_attn_scalar": query_scalar(settings, _LAYERS_OF_27B),
        "attn_logit_softcapping": number(file, "gemma2.attn_logit_softcapping", 50.0),
        "final_logit_softcapping": number(file, "gemma2.final_logit_softcapping", 30.0),
        "attn_implementation": "eager",  # transformers' other implementations ignore the cap
    }


def _own_keys(config: JsonFile) -> dict[str, Typed]:
    return {
        **window_keys(config, _PERIOD, _PERIOD),
        "attn_logit_softcapping": f32(config.number("attn_logit_softcapping")),
        "final_logit_softcapping": f32(config.number("final_logit_softcapping")),
    }


register(
    Architecture(
        name="gemma2",
        model_type="gemma2",
        config=_gemma2_config,
        tensors=SANDWICH_NORMS | PROJECTIONS,
        checkpoints={
            "gemma2": CheckpointRules(
                GEMMA2_DEFAULTS,
                NO_BIASES,
                _own_keys,
                activation=("hidden_activation", (GELU,)),
                overrides=NO_SPACE_PREFIX,
            )
        },
        norm_offset=1.0,
    )
)
