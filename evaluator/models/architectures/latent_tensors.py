"""Checkpoints of families with DeepSeek's latent attention: their configuration and their tensors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from evaluator.models.architectures import CheckpointRules
from evaluator.models.architectures.changes import (
    JOINED_EXPERTS,
    Conversions,
    Indices,
    Rows,
    Shape,
    Shaped,
    Transposed,
)
from evaluator.models.architectures.config_json import (
    COMMON,
    NO_BIASES,
    inexpressible,
    rotary_settings,
    routed_expert_keys,
)
from evaluator.models.architectures.mixture import Gating
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, f32, u32

_V3_DEFAULTS: Mapping[str, Any] = {
    **COMMON,
    "max_position_embeddings": 4096,
    "num_key_value_heads": 128,
    "attention_bias": False,
    "kv_lora_rank": 512,
    "q_lora_rank": 1536,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "v_head_dim": 128,
    "moe_intermediate_size": 2048,
    "n_shared_experts": 1,
    "n_routed_experts": 256,
    "num_experts_per_tok": 8,
    "routed_scaling_factor": 2.5,
    "n_group": 8,
    "topk_group": 4,
    "first_k_dense_replace": 3,
    "norm_topk_prob": True,
    "rope_interleave": True,
}
_V2_DEFAULTS: Mapping[str, Any] = {
    **{key: value for key, value in _V3_DEFAULTS.items() if key != "rope_interleave"},
    "max_position_embeddings": 2048,
    "num_key_value_heads": None,
    "mlp_bias": False,
    "moe_intermediate_size": 1407,
    "n_shared_experts": 2,
    "n_routed_experts": 64,
    "num_experts_per_tok": None,
    "routed_scaling_factor": 1.0,
    "n_group": None,
    "topk_group": None,
    "topk_method": "greedy",
    "first_k_dense_replace": 0,
    "norm_topk_prob": False,
}
#: Norms of narrow vectors have this epsilon whatever the configuration says.
_FIXED = {**NO_BIASES, "moe_layer_freq": 1, "rms_norm_eps": 1e-6}
_V3_FIXED = {**_FIXED, "scoring_func": "sigmoid", "topk_method": "noaux_tc", "rope_interleave": True}
_V2_FIXED = {**_FIXED, "scoring_func": "softmax", "topk_method": "greedy", "mlp_bias": False}
#: Files multiply YaRN's `mscale_all_dim` by this.
_MULTIPLIER_UNIT = 0.1


def _by_head(config: JsonFile, shape: Shape) -> Shape:
    width = config.count("qk_nope_head_dim") + config.count("v_head_dim")
    return config.count("num_attention_heads"), width, shape[-1]


def _keys(config: JsonFile, _: int) -> Indices:
    return np.arange(config.count("qk_nope_head_dim"))


def _values(config: JsonFile, size: int) -> Indices:
    return np.arange(config.count("qk_nope_head_dim"), size)


_CONVERSIONS: Conversions = {
    **JOINED_EXPERTS,
    "model.layers.{}.self_attn.kv_b_proj.weight": {
        "blk.{}.attn_k_b.weight": (Shaped(_by_head), Rows(_keys), Transposed()),
        "blk.{}.attn_v_b.weight": (Shaped(_by_head), Rows(_values)),
    },
}


def _metadata(gating: Gating, config: JsonFile) -> dict[str, Typed]:
    latent, turned = config.count("kv_lora_rank"), config.count("qk_rope_head_dim")
    queries = config.values.get("q_lora_rank")
    return {
        **routed_expert_keys(config, gating),
        **_yarn_keys(config),
        **({"attention.q_lora_rank": u32(config.count("q_lora_rank"))} if queries is not None else {}),
        "attention.head_count_kv": u32(1),
        "attention.kv_lora_rank": u32(latent),
        "attention.key_length": u32(latent + turned),
        "attention.value_length": u32(latent),
        "attention.key_length_mla": u32(config.count("qk_nope_head_dim") + turned),
        "attention.value_length_mla": u32(config.count("v_head_dim")),
        "rope.dimension_count": u32(turned),
    }


def _yarn_keys(config: JsonFile) -> dict[str, Typed]:
    """Return the keys of YaRN, which scales the scores here, not cosines and sines.

    Raises:
        SourceError: the settings scale both.
    """
    settings = rotary_settings(config)
    if (settings.values.get("rope_type") or settings.values.get("type")) != "yarn":
        return {}
    over_all = settings.number("mscale_all_dim")
    if settings.number("mscale", 1.0) != over_all:
        raise inexpressible(config, "deepseek2", "mscale", settings.values.get("mscale"), over_all)
    return {
        "rope.scaling.attn_factor": f32(1.0),
        "rope.scaling.yarn_log_multiplier": f32(_MULTIPLIER_UNIT * over_all),
    }


#: `model_type` → its rules.
LATENT_CHECKPOINTS: Mapping[str, CheckpointRules] = {
    "deepseek_v3": CheckpointRules(
        _V3_DEFAULTS, _V3_FIXED, partial(_metadata, "sigmoid"), conversions=_CONVERSIONS
    ),
    "deepseek_v2": CheckpointRules(
        _V2_DEFAULTS, _V2_FIXED, partial(_metadata, "softmax"), conversions=_CONVERSIONS
    ),
}
