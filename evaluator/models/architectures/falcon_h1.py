"""Falcon-H1: attention and Mamba 2 side by side in every layer."""

from __future__ import annotations

import math

import numpy as np

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import Change, Computed, Conversions, Scaled, Values
from evaluator.models.architectures.config_json import COMMON, NO_BIASES, inexpressible
from evaluator.models.architectures.description import Decoder, Part
from evaluator.models.architectures.layer_tensors import tensor_name
from evaluator.models.architectures.mamba_tensors import mamba_conversions
from evaluator.models.architectures.mixers import FeedForward
from evaluator.models.architectures.parts import attention, mamba
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, u32
from evaluator.models.model_file import ModelFile

_DEFAULTS = {
    **COMMON,
    "rms_norm_eps": 1e-5,
    "rope_theta": 100000.0,
    "max_position_embeddings": 8192,
    "num_key_value_heads": 8,
    "mamba_d_ssm": 1024,
    "mamba_n_heads": 128,
    "mamba_d_head": "auto",
    "mamba_n_groups": 1,
    "mamba_d_state": 256,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "mamba_norm_before_gate": True,
    "mamba_rms_norm": False,
    "mamba_conv_bias": True,
    "mamba_proj_bias": False,
    "projectors_bias": False,
    "lm_head_multiplier": 1.0,
    "embedding_multiplier": 1.0,
    "mlp_multipliers": None,
    "key_multiplier": None,
    "attention_out_multiplier": None,
    "attention_in_multiplier": None,
    "ssm_multipliers": None,
    "ssm_in_multiplier": None,
    "ssm_out_multiplier": None,
}
_FIXED = {
    **NO_BIASES,
    "mlp_bias": False,
    "mamba_conv_bias": True,
    "mamba_proj_bias": False,
    "projectors_bias": False,
}
_LAYER = "model.layers.{}"


def _numbers(config: JsonFile, key: str, count: int) -> list[float]:
    """Return listed factors, each 1 if they are missing."""
    numbers = config.items(key) or [1.0] * count
    if len(numbers) != count:
        raise config.error(key, numbers, f"a list of {count} numbers")
    return [JsonFile(config.path, {key: number}).number(key) for number in numbers]


def _times(*keys: str) -> tuple[Change]:
    """Return the change that multiplies by settings of the configuration."""

    def scaled(config: JsonFile, values: Values) -> Values:
        return values * np.float32(math.prod(config.number(key, 1.0) for key in keys))

    return (Computed(scaled),)


def _times_one_of(key: str, place: int, count: int) -> tuple[Change]:
    return (Computed(lambda config, values: values * np.float32(_numbers(config, key, count)[place])),)


def _state_space_factors(config: JsonFile, rows: int) -> Values:
    """Return the factors of gates, values, input vectors, output vectors and rates."""
    inner, groups = config.count("mamba_d_ssm"), config.count("mamba_n_groups")
    state = groups * config.count("mamba_d_state")
    sizes = [inner, inner, state, state, rows - 2 * (inner + state)]
    if sizes[-1] < 0:
        raise ValueError("too few rows")
    factors = np.repeat(_numbers(config, "ssm_multipliers", len(sizes)), sizes)
    return (factors * config.number("ssm_in_multiplier", 1.0)).astype(np.float32)


_CONVERSIONS: Conversions = {
    **mamba_conversions(f"{_LAYER}.mamba", "mamba_n_groups"),
    f"{_LAYER}.mamba.in_proj.weight": {"blk.{}.ssm_in.weight": (Scaled(_state_space_factors),)},
    f"{_LAYER}.mamba.out_proj.weight": {"blk.{}.ssm_out.weight": _times("ssm_out_multiplier")},
    f"{_LAYER}.self_attn.q_proj.weight": {"blk.{}.attn_q.weight": _times("attention_in_multiplier")},
    f"{_LAYER}.self_attn.k_proj.weight": {
        "blk.{}.attn_k.weight": _times("attention_in_multiplier", "key_multiplier")
    },
    f"{_LAYER}.self_attn.v_proj.weight": {"blk.{}.attn_v.weight": _times("attention_in_multiplier")},
    f"{_LAYER}.self_attn.o_proj.weight": {"blk.{}.attn_output.weight": _times("attention_out_multiplier")},
    f"{_LAYER}.feed_forward.gate_proj.weight": {
        "blk.{}.ffn_gate.weight": _times_one_of("mlp_multipliers", 0, 2)
    },
    f"{_LAYER}.feed_forward.down_proj.weight": {
        "blk.{}.ffn_down.weight": _times_one_of("mlp_multipliers", 1, 2)
    },
    "model.embed_tokens.weight": {"token_embd.weight": _times("embedding_multiplier")},
    "lm_head.weight": {"output.weight": _times("lm_head_multiplier")},
}


def _keys(config: JsonFile) -> dict[str, Typed]:
    of_head, of_embedding = (config.number(f"{name}_multiplier", 1.0) for name in ("lm_head", "embedding"))
    if config.values["tie_word_embeddings"] and of_head != of_embedding:
        raise inexpressible(config, "falcon-h1", "lm_head_multiplier", of_head, of_embedding)
    if config.values["mamba_rms_norm"] and config.values["mamba_norm_before_gate"]:
        raise inexpressible(config, "falcon-h1", "mamba_norm_before_gate with mamba_rms_norm", True, False)
    inner, heads = config.count("mamba_d_ssm"), config.count("mamba_n_heads")
    if config.values.get("mamba_d_head") not in ("auto", None, inner // heads):
        raise config.error("mamba_d_head", config.values["mamba_d_head"], str(inner // heads))
    return {
        "ssm.conv_kernel": u32(config.count("mamba_d_conv")),
        "ssm.state_size": u32(config.count("mamba_d_state")),
        "ssm.group_count": u32(config.count("mamba_n_groups")),
        "ssm.time_step_rank": u32(heads),
        "ssm.inner_size": u32(inner),
    }


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings)
    normed = tensor_name(file.tensors, "ssm_norm", 0) in file.tensors
    settings.count("feed_forward_length")  # the tensors show it
    layer = (
        Part("attention", (attends, mamba(settings, norm=normed)), "attn_norm"),
        Part("feed_forward", (FeedForward(),), "ffn_norm"),
    )
    decoder = Decoder(
        settings.count("embedding_length"),
        (layer,) * settings.layers,
        (settings.rotary(attends.width),),
        settings.positive("attention.layer_norm_rms_epsilon"),
    )
    settings.check_all_read()
    return decoder


register(
    Architecture(
        "falcon-h1",
        checkpoints={"falcon_h1": CheckpointRules(_DEFAULTS, _FIXED, _keys, conversions=_CONVERSIONS)},
        describe=_describe,
    )
)
