"""Checkpoints of families with gated DeltaNet: their configuration, and how heads are ordered in their tensors.

GGUF holds queries, keys and values of all heads one after another. Checkpoints of Qwen3-Next hold them group by
group; those of Qwen 3.5 hold the values of a key head side by side, which GGUF's files hold a key head apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evaluator.models.architectures.changes import (
    JOINED_EXPERTS,
    NEGATED_EXPONENTIAL,
    SQUEEZED,
    Columns,
    Conversions,
    Indices,
    Rows,
    norms_plus_one,
)
from evaluator.models.architectures.config_json import (
    COMMON,
    FULL,
    NO_BIASES,
    expert_keys,
    layer_types,
    rotated_keys,
)
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, booleans, u32

_LINEAR = "linear_attention"
_INTERVAL = 4
SECTIONS = (11, 11, 10, 0)
_LINEAR_ATTENTION = "model.layers.{}.linear_attn"
HYBRID_DEFAULTS: Mapping[str, Any] = {
    **COMMON,
    "max_position_embeddings": 32768,
    "partial_rotary_factor": 0.25,
    "head_dim": 256,
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "layer_types": None,
}
HYBRID_FIXED: Mapping[str, Any] = {
    **{key: value for key, value in NO_BIASES.items() if key != "partial_rotary_factor"},
    "attn_output_gate": True,
    "rms_norm_eps": 1e-6,  # of DeltaNet's queries and keys whatever the configuration says
}
MIXTURE_DEFAULTS: Mapping[str, Any] = {"moe_intermediate_size": 512, "shared_expert_intermediate_size": 512}


def hybrid_keys(config: JsonFile) -> dict[str, Typed]:
    """Return the metadata keys of attention and DeltaNet."""
    interval, layers = config.count("full_attention_interval", _INTERVAL), config.count("num_hidden_layers")
    types = layer_types(config, (_LINEAR, FULL))
    recurrent = [kind == _LINEAR for kind in types or ()] or [
        (layer + 1) % interval != 0 for layer in range(layers)
    ]
    values = config.count("linear_num_value_heads")
    return {
        **rotated_keys(config),
        "ssm.conv_kernel": u32(config.count("linear_conv_kernel_dim")),
        "ssm.state_size": u32(config.count("linear_key_head_dim")),
        "ssm.group_count": u32(config.count("linear_num_key_heads")),
        "ssm.time_step_rank": u32(values),
        "ssm.inner_size": u32(config.count("linear_value_head_dim") * values),
        "full_attention_interval": u32(interval),
        "attention.recurrent_layers": booleans(recurrent),
    }


def shared_expert_keys(config: JsonFile) -> dict[str, Typed]:
    """Return the metadata keys of experts, and of the one that all tokens pass through."""
    return expert_keys(config, shared="shared_expert_intermediate_size")


def _tiled(width_key: str | None, config: JsonFile, size: int) -> Indices:
    """Return the order with the first value head of each key head first, then the second ones.

    Args:
        width_key: key of the dimensions of a value head, None for one number per head.
        config: the configuration.
        size: rows, of which the values' are the last.
    """
    keys, values = config.count("linear_num_key_heads"), config.count("linear_num_value_heads")
    width = config.count(width_key) if width_key else 1
    before = size - values * width
    heads = np.arange(before, size).reshape(keys, values // keys, width)
    return np.concatenate([np.arange(before), heads.swapaxes(0, 1).reshape(-1)])


def _tiled_values(config: JsonFile, size: int) -> Indices:
    return _tiled("linear_value_head_dim", config, size)


def _tiled_heads(config: JsonFile, size: int) -> Indices:
    return _tiled(None, config, size)


def _by_group(parts: slice, config: JsonFile, size: int) -> Indices:
    """Return the rows of chosen parts out of queries, keys, values and gates, which each key head has in a row."""
    groups = config.count("linear_num_key_heads")
    key = config.count("linear_key_head_dim")
    value = config.count("linear_value_head_dim") * config.count("linear_num_value_heads") // groups
    rows = np.arange(size).reshape(groups, 2 * key + 2 * value)
    found = np.split(rows, [key, 2 * key, 2 * key + value], axis=1)[parts]
    return np.concatenate([part.reshape(-1) for part in found])


_NORMS = norms_plus_one(
    "input_layernorm=attn_norm",
    "post_attention_layernorm=post_attention_norm",
    "self_attn.q_norm=attn_q_norm",
    "self_attn.k_norm=attn_k_norm",
)
NEXT_CONVERSIONS: Conversions = {
    **_NORMS,
    **JOINED_EXPERTS,
    f"{_LINEAR_ATTENTION}.in_proj_qkvz.weight": {
        "blk.{}.attn_qkv.weight": (Rows(lambda config, size: _by_group(slice(0, 3), config, size)),),
        "blk.{}.attn_gate.weight": (Rows(lambda config, size: _by_group(slice(3, 4), config, size)),),
    },
    f"{_LINEAR_ATTENTION}.conv1d.weight": {"blk.{}.ssm_conv1d.weight": (SQUEEZED,)},
    f"{_LINEAR_ATTENTION}.A_log": {"blk.{}.ssm_a": (NEGATED_EXPONENTIAL,)},
}
HYBRID_CONVERSIONS: Conversions = {
    **_NORMS,
    **JOINED_EXPERTS,
    f"{_LINEAR_ATTENTION}.in_proj_qkv.weight": {"blk.{}.attn_qkv.weight": (Rows(_tiled_values),)},
    f"{_LINEAR_ATTENTION}.in_proj_z.weight": {"blk.{}.attn_gate.weight": (Rows(_tiled_values),)},
    f"{_LINEAR_ATTENTION}.in_proj_b.weight": {"blk.{}.ssm_beta.weight": (Rows(_tiled_heads),)},
    f"{_LINEAR_ATTENTION}.in_proj_a.weight": {"blk.{}.ssm_alpha.weight": (Rows(_tiled_heads),)},
    f"{_LINEAR_ATTENTION}.A_log": {"blk.{}.ssm_a": (Rows(_tiled_heads), NEGATED_EXPONENTIAL)},
    f"{_LINEAR_ATTENTION}.dt_bias": {"blk.{}.ssm_dt.bias": (Rows(_tiled_heads),)},
    f"{_LINEAR_ATTENTION}.conv1d.weight": {"blk.{}.ssm_conv1d.weight": (SQUEEZED, Rows(_tiled_values))},
    f"{_LINEAR_ATTENTION}.out_proj.weight": {"blk.{}.ssm_out.weight": (Columns(_tiled_values),)},
}
