"""gpt-oss: attention with sinks, every other layer windowed, and a mixture with biases and a clamped activation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import Columns, Conversions, Rows, Transposed
from evaluator.models.architectures.config_json import (
    COMMON,
    FULL,
    WHOLE_HEADS,
    WINDOWED,
    expert_keys,
    inexpressible,
    layer_types,
)
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.parts import attention, experts, pre_norm_layer
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, u32
from evaluator.models.model_file import ModelFile
from evaluator.models.tensor_types import CheckpointType

_PERIOD = 2
_DEFAULTS: Mapping[str, Any] = {
    **COMMON,
    "rms_norm_eps": 1e-5,
    "rope_theta": 150000.0,
    "rope_scaling": {
        "rope_type": "yarn",
        "factor": 32.0,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "truncate": False,
        "original_max_position_embeddings": 4096,
    },
    "max_position_embeddings": 131072,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "sliding_window": 128,
    "num_local_experts": 128,
    "num_experts_per_tok": 4,
    "layer_types": None,
}
_FIXED = {**WHOLE_HEADS, "attention_bias": True, "swiglu_limit": 7.0}
#: MXFP4 files hold the rows of a matrix as rows, the others as columns. Gate and up alternate.
_TURNED = Transposed(unless=(CheckpointType.MXFP4,))
_GATES, _UPS = ((lambda _, size, first=first: np.arange(first, size, 2)) for first in (0, 1))
_EXPERTS = "model.layers.{}.mlp.experts"
_CONVERSIONS: Conversions = {
    f"{_EXPERTS}.gate_up_proj": {
        "blk.{}.ffn_gate_exps.weight": (_TURNED, Rows(_GATES)),
        "blk.{}.ffn_up_exps.weight": (_TURNED, Rows(_UPS)),
    },
    f"{_EXPERTS}.gate_up_proj_bias": {
        "blk.{}.ffn_gate_exps.bias": (Columns(_GATES),),
        "blk.{}.ffn_up_exps.bias": (Columns(_UPS),),
    },
    f"{_EXPERTS}.down_proj": {"blk.{}.ffn_down_exps.weight": (_TURNED,)},
    "model.layers.{}.self_attn.sinks": {"blk.{}.attn_sinks.weight": ()},
}


def _own_keys(config: JsonFile) -> dict[str, Typed]:
    usual = [FULL if layer % _PERIOD else WINDOWED for layer in range(config.count("num_hidden_layers"))]
    types = layer_types(config) or usual
    if types != usual:
        raise inexpressible(config, "gpt-oss", "layer_types", types, usual)
    return {
        **expert_keys(config, count="num_local_experts", width="intermediate_size"),
        "attention.sliding_window": u32(config.count("sliding_window")),
    }


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    window = settings.count("attention.sliding_window")
    attends = [attention(settings, sinks=True, window=size) for size in (window, None)]
    inner = experts(settings, gating="softmax of chosen", renormalized=False, activation="swiglu_clamped")
    settings.count("feed_forward_length", 1, least=0)  # the experts' width has a key of its own
    decoder = Decoder(
        settings.count("embedding_length"),
        tuple(
            pre_norm_layer(attends[layer % _PERIOD], inner, ffn_norm="post_attention_norm")
            for layer in range(settings.layers)
        ),
        (settings.rotary(attends[0].width, factors=FREQUENCY_FACTORS),),
        settings.positive("attention.layer_norm_rms_epsilon"),
    )
    settings.check_all_read()
    return decoder


register(
    Architecture(
        "gpt-oss",
        checkpoints={"gpt_oss": CheckpointRules(_DEFAULTS, _FIXED, _own_keys, conversions=_CONVERSIONS)},
        describe=_describe,
    )
)
