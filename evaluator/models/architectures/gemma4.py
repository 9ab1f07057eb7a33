"""Gemma 4: windowed and full attention of different widths, inputs per layer, layers that share keys and values.

Its mixture computes a dense part and experts side by side, each with norms of its own.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import Conversions
from evaluator.models.architectures.config_json import (
    COMMON,
    NO_BIASES,
    WINDOWED,
    expert_keys,
    full_head_width,
    head_width,
    layer_types,
)
from evaluator.models.architectures.description import Decoder, Layer, LayerInputs, Part
from evaluator.models.architectures.gemma import GELU, NO_SPACE_PREFIX
from evaluator.models.architectures.gemma_attention import share_keys, windowed_rotary
from evaluator.models.architectures.layer_tensors import tensor_name
from evaluator.models.architectures.mixers import Activation, Attention, FeedForward, LayerInput
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, booleans, f32, i32_array, u32
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError

_GELU: Activation = "gelu_tanh"
_ROUTER = "ffn_gate_inp"


_PERIOD = 6
_DEFAULTS = {
    **{key: value for key, value in COMMON.items() if key != "rope_theta"},
    "max_position_embeddings": 131072,
    "tie_word_embeddings": True,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "hidden_activation": GELU,
    "sliding_window": 512,
    "layer_types": None,
    "final_logit_softcapping": None,
    "use_bidirectional_attention": None,
    "hidden_size_per_layer_input": 256,
    "attention_k_eq_v": False,
    "num_kv_shared_layers": 0,
    "enable_moe_block": False,
    "use_double_wide_mlp": False,
    "rope_parameters": {
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        "full_attention": {
            "rope_type": "proportional",
            "partial_rotary_factor": 0.25,
            "rope_theta": 1000000.0,
        },
    },
}
_FIXED = {key: value for key, value in NO_BIASES.items() if key != "partial_rotary_factor"}
_LAYER = "model.layers.{}"
_CONVERSIONS: Conversions = {
    f"{_LAYER}.layer_scalar": {"blk.{}.layer_output_scale.weight": ()},
    f"{_LAYER}.router.scale": {"blk.{}.ffn_gate_inp.scale": ()},
    f"{_LAYER}.router.per_expert_scale": {"blk.{}.ffn_down_exps.scale": ()},
    f"{_LAYER}.experts.gate_up_proj": {"blk.{}.ffn_gate_up_exps.weight": ()},
    f"{_LAYER}.experts.down_proj": {"blk.{}.ffn_down_exps.weight": ()},
}


def _keys(config: JsonFile) -> dict[str, Typed]:
    """Return the keys of two kinds of attention, inputs per layer, and experts beside the feed-forward part."""
    if config.values.get("use_bidirectional_attention") == "all":
        raise config.error("use_bidirectional_attention", "all", "null or 'vision'")
    layers, shared = config.count("num_hidden_layers"), config.whole("num_kv_shared_layers")
    types = layer_types(config)
    windowed = [kind == WINDOWED for kind in types or ()] or [
        (layer + 1) % _PERIOD != 0 for layer in range(layers)
    ]
    windowed[-1] = False
    inner, wide = config.count("intermediate_size"), config.values["use_double_wide_mlp"]
    heads, full = config.count("num_key_value_heads"), full_head_width(config)
    own_heads = config.values["attention_k_eq_v"]
    full_heads = config.count("num_global_key_value_heads", heads)
    by_layer = i32_array([heads if in_window else full_heads for in_window in windowed])
    local = config.within("rope_parameters").within("sliding_attention")
    narrow, cap = head_width(config), config.values.get("final_logit_softcapping")
    return {
        **({"final_logit_softcapping": f32(config.number("final_logit_softcapping"))} if cap else {}),
        **(expert_keys(config, used="top_k_experts") if config.values["enable_moe_block"] else {}),
        "feed_forward_length": i32_array(
            [inner * (2 if wide and layer >= layers - shared else 1) for layer in range(layers)]
        ),
        "attention.head_count_kv": by_layer if own_heads else u32(heads),
        "attention.key_length": u32(full),
        "attention.value_length": u32(full),
        "attention.key_length_swa": u32(narrow),
        "attention.value_length_swa": u32(narrow),
        "attention.sliding_window": u32(config.count("sliding_window")),
        "attention.sliding_window_pattern": booleans(windowed),
        "attention.shared_kv_layers": u32(shared),
        "embedding_length_per_layer_input": u32(config.whole("hidden_size_per_layer_input")),
        "rope.dimension_count": u32(full),
        "rope.dimension_count_swa": u32(narrow),
        "rope.freq_base_swa": f32(local.number("rope_theta", 10000.0)),
    }


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    full, narrow = (settings.count(f"attention.key_length{ending}") for ending in ("", "_swa"))
    if settings.count("attention.value_length_swa", narrow) != narrow:
        raise SourceError(file.path, "attention values of another width than the keys are not supported")
    windowed = settings.flags("attention.sliding_window_pattern")
    attends, kept = share_keys(
        settings,
        [
            _attention(settings, layer, narrow if in_window else None)
            for layer, in_window in enumerate(windowed)
        ],
        settings.count("attention.shared_kv_layers", 0, least=0),
    )
    inputs = settings.count("embedding_length_per_layer_input", 0, least=0)
    for name in ("attention.scale", "feed_forward_length", "expert_feed_forward_length", "expert_used_count"):
        settings.read(name)  # scores are not scaled; the tensors show the rest
    hidden = settings.count("embedding_length")
    decoder = Decoder(
        hidden,
        tuple(_layer(settings, layer, mixer, inputs) for layer, mixer in enumerate(attends)),
        (settings.rotary(full, factors=FREQUENCY_FACTORS), windowed_rotary(settings, narrow)),
        settings.positive("attention.layer_norm_rms_epsilon"),
        embedding_scale=math.sqrt(hidden),
        softcap=settings.number("final_logit_softcapping", 0.0) or None,
        layer_inputs=LayerInputs(inputs) if inputs else None,
        kept=kept,
    )
    settings.check_all_read()
    return decoder


def _attention(settings: Settings, layer: int, narrow: int | None) -> Attention:
    """Return a layer's attention; `narrow` is the width of heads in a windowed layer."""
    window = settings.count("attention.sliding_window")
    changes: dict[str, Any] = {"width": narrow, "window": window, "rotary": 1} if narrow else {}
    return attention(settings, layer, scale=1.0, norm="head", value_norm=True, **changes)


def _layer(settings: Settings, layer: int, attends: Attention, inputs: int) -> Layer:
    """Return a layer; `inputs` is the width of its input, 0 without one."""
    names = settings.file.tensors
    dense = FeedForward(activation=_GELU)
    inner: Part = Part("feed_forward", (dense,), "ffn_norm", "post_ffw_norm")
    if tensor_name(names, _ROUTER, layer) in names:
        beside = FeedForward(activation=_GELU, post_norm="post_ffw_norm_1")
        routed = experts(
            settings,
            layer,
            gating="softmax",
            renormalized=True,
            activation=_GELU,
            norm="pre_ffw_norm_2",
            post_norm="post_ffw_norm_2",
            router_gain=_ROUTER,
        )
        inner = Part("feed_forward", (beside, routed), "ffn_norm", "post_ffw_norm")
    parts = [Part("attention", (attends,), "attn_norm", "post_attention_norm"), inner]
    if inputs:
        parts.append(Part("layer", (LayerInput(width=inputs),), None, "post_norm"))
    if tensor_name(names, "layer_output_scale", layer) in names:
        parts[-1] = replace(parts[-1], output_scale="layer_output_scale")
    return tuple(parts)


register(
    Architecture(
        "gemma4",
        checkpoints={
            "gemma4_text": CheckpointRules(
                _DEFAULTS,
                _FIXED,
                _keys,
                activation=("hidden_activation", (GELU,)),
                overrides=NO_SPACE_PREFIX,
                conversions=_CONVERSIONS,
            )
        },
        describe=_describe,
    )
)
