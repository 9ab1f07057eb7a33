"""Settings and tensors of Granite's checkpoints.

Granite 4's have one `model_type`, whether some layers are Mamba 2 or all attend, and with or without experts.
"""

from __future__ import annotations

from evaluator.models.architectures.changes import FIRST_HALF, INTERLEAVED, SECOND_HALF, Conversions
from evaluator.models.architectures.config_json import (
    COMMON,
    full_rotary_key,
    layer_types,
    used_expert_keys,
)
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, boolean, f32, u32

MAMBA, ATTENTION = "mamba", "attention"
GRANITE_DEFAULTS = {
    **COMMON,
    "max_position_embeddings": 2048,
    "num_key_value_heads": None,
    "attention_bias": False,
    "mlp_bias": False,
    "embedding_multiplier": 1.0,
    "logits_scaling": 1.0,
    "residual_multiplier": 1.0,
    "attention_multiplier": 1.0,
}
GRANITE_MIXTURE_DEFAULTS = {
    **{key: value for key, value in GRANITE_DEFAULTS.items() if key != "mlp_bias"},
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
}
_SCALES = {
    "attention.scale": "attention_multiplier",
    "embedding_scale": "embedding_multiplier",
    "residual_scale": "residual_multiplier",
    "logit_scale": "logits_scaling",
}
_MIXTURE, _SHARED = "model.layers.{}.block_sparse_moe", "model.layers.{}.shared_mlp"
GRANITE_CONVERSIONS: Conversions = {
    **INTERLEAVED,
    f"{_MIXTURE}.input_linear.weight": {
        "blk.{}.ffn_gate_exps.weight": (FIRST_HALF,),
        "blk.{}.ffn_up_exps.weight": (SECOND_HALF,),
    },
    f"{_MIXTURE}.output_linear.weight": {"blk.{}.ffn_down_exps.weight": ()},
    f"{_SHARED}.input_linear.weight": {
        "blk.{}.ffn_gate_shexp.weight": (FIRST_HALF,),
        "blk.{}.ffn_up_shexp.weight": (SECOND_HALF,),
    },
    f"{_SHARED}.output_linear.weight": {"blk.{}.ffn_down_shexp.weight": ()},
}


def scale_keys(config: JsonFile) -> dict[str, Typed]:
    """Return the metadata keys of the family's four factors."""
    scales = {key: f32(config.number(name)) for key, name in _SCALES.items()}
    return {**full_rotary_key(config), **scales}


def mixture_keys(config: JsonFile) -> dict[str, Typed]:
    """Return the metadata keys of a model with experts and, in some, one that all tokens pass through."""
    shared = config.values.get("shared_intermediate_size")
    width = (
        {"expert_shared_feed_forward_length": u32(config.count("shared_intermediate_size"))} if shared else {}
    )
    return {**scale_keys(config), **used_expert_keys(config, "num_local_experts"), **width}


HYBRID_DEFAULTS = {
    **GRANITE_MIXTURE_DEFAULTS,
    "shared_intermediate_size": 1024,
    "position_embedding_type": None,
    "layer_types": None,
    "mamba_n_heads": 128,
    "mamba_n_groups": 1,
    "mamba_d_state": 256,
    "mamba_d_head": "auto",
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "mamba_conv_bias": True,
    "mamba_proj_bias": False,
}
_DENSE_CONVERSIONS: Conversions = {
    **GRANITE_CONVERSIONS,
    f"{_SHARED}.input_linear.weight": {
        "blk.{}.ffn_gate.weight": (FIRST_HALF,),
        "blk.{}.ffn_up.weight": (SECOND_HALF,),
    },
    f"{_SHARED}.output_linear.weight": {"blk.{}.ffn_down.weight": ()},
}


def attends_only(config: JsonFile) -> bool:
    """Return whether no layer of a Granite 4 is Mamba 2; its GGUF file is then a Granite 3's."""
    types = layer_types(config, (MAMBA, ATTENTION))
    return types is not None and MAMBA not in types


def has_experts(config: JsonFile) -> bool:
    """Return whether the layers of a Granite 4 have experts."""
    return bool(config.whole("num_local_experts"))


def rotates_positions(config: JsonFile) -> bool:
    """Return whether attention of a Granite 4 rotates queries and keys."""
    return config.values.get("position_embedding_type") == "rope"


def attending_keys(config: JsonFile) -> dict[str, Typed]:
    """Return the metadata keys of a Granite 4, but for those of Mamba 2."""
    inner = mixture_keys if has_experts(config) else _dense_keys
    return {**inner(config), "rope.scaling.finetuned": boolean(rotates_positions(config))}


def _dense_keys(config: JsonFile) -> dict[str, Typed]:
    width = config.count("shared_intermediate_size")
    return {**scale_keys(config), "feed_forward_length": u32(width)}


def attending_conversions(config: JsonFile) -> Conversions:
    """Return the changes of a Granite 4's tensors, but for those of Mamba 2."""
    return GRANITE_CONVERSIONS if has_experts(config) else _DENSE_CONVERSIONS
