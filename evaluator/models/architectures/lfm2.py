"""LFM2: short convolutions in most layers, attention in the others, with or without experts."""

from __future__ import annotations

import math

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import SQUEEZED, Conversions
from evaluator.models.architectures.config_json import COMMON, FULL, WHOLE_HEADS, expert_keys, layer_types
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.mixers import Experts, FeedForward, ShortConvolution
from evaluator.models.architectures.mixture import GATING_NUMBERS
from evaluator.models.architectures.parts import attention, experts, pre_norm_layer
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, f32, i32_array, u32
from evaluator.models.model_file import ModelFile

_CONVOLUTION = "conv"
_DEFAULTS = {
    **{key: value for key, value in COMMON.items() if key != "rms_norm_eps"},
    "rope_theta": 1e6,
    "tie_word_embeddings": True,
    "max_position_embeddings": 128000,
    "num_key_value_heads": 8,
    "norm_eps": 1e-5,
    "conv_bias": False,
    "conv_L_cache": 3,
    "block_multiple_of": 256,
    "block_ffn_dim_multiplier": 1.0,
    "block_auto_adjust_ff_dim": True,
    "full_attn_idxs": None,
    "layer_types": None,
}
_MIXTURE_DEFAULTS = {
    **{key: value for key, value in _DEFAULTS.items() if not key.startswith("block_")},
    "moe_intermediate_size": 1792,
    "num_dense_layers": 2,
    "num_experts": 32,
    "num_experts_per_tok": 4,
    "norm_topk_prob": True,
    "use_expert_bias": True,
    "routed_scaling_factor": 1.0,
}
_FIXED = {**WHOLE_HEADS, "conv_bias": False, "use_pos_enc": True}
_MIXTURE_FIXED = {**_FIXED, "norm_topk_prob": True, "use_expert_bias": True, "routed_scaling_factor": 1.0}
_CONVERSIONS: Conversions = {
    "model.layers.{}.conv.conv.weight": {"blk.{}.shortconv.conv.weight": (SQUEEZED,)},
    "model.layers.{}.feed_forward.expert_bias": {"blk.{}.exp_probs_b.bias": ()},
}


def _keys(config: JsonFile) -> dict[str, Typed]:
    """Return the keys of convolutions and attention; layers without attention have no key heads."""
    for name, usual in (("theta", "rope_theta"), ("tie_embedding", "tie_word_embeddings")):
        if config.values.get(name) not in (None, config.values[usual]):
            raise config.error(name, config.values[name], f"{usual}, {config.values[usual]}")
    types = layer_types(config, (_CONVOLUTION, FULL))
    if types is None:
        places = config.items("full_attn_idxs") or range(config.count("num_hidden_layers"))
        types = [
            FULL if layer in places else _CONVOLUTION for layer in range(config.count("num_hidden_layers"))
        ]
    heads = config.count("num_key_value_heads")
    return {
        "attention.head_count_kv": i32_array([heads * (kind == FULL) for kind in types]),
        "attention.layer_norm_rms_epsilon": f32(config.number("norm_eps")),
        "shortconv.l_cache": u32(config.count("conv_L_cache")),
    }


def _dense_keys(config: JsonFile) -> dict[str, Typed]:
    inner = config.count("block_ff_dim", config.count("intermediate_size"))
    if config.values["block_auto_adjust_ff_dim"]:
        step = config.count("block_multiple_of")
        inner = step * math.ceil(
            int(config.number("block_ffn_dim_multiplier", 1.0) * (2 * inner // 3)) / step
        )
    return {**_keys(config), "feed_forward_length": u32(inner)}


def _mixture_keys(config: JsonFile) -> dict[str, Typed]:
    return {
        **_keys(config),
        **expert_keys(config),
        "leading_dense_block_count": u32(config.whole("num_dense_layers")),
        "expert_gating_func": u32(GATING_NUMBERS["sigmoid"]),
    }


def _describe_with(settings: Settings, inner: Experts | None = None) -> Decoder:
    """Return the description of a model with these experts behind its dense layers, or none."""
    kv_heads = settings.counts("attention.head_count_kv")
    window = settings.count("attention.sliding_window", 0, least=0) or None
    attends = attention(settings, layer=kv_heads.index(max(kv_heads)), norm="head", window=window)
    convolution = ShortConvolution(kernel=settings.count("shortconv.l_cache"))
    dense = settings.count("leading_dense_block_count", 0, least=0) if inner else settings.layers
    settings.count("feed_forward_length", 1, least=0)  # the tensors show it
    decoder = Decoder(
        settings.count("embedding_length"),
        tuple(
            pre_norm_layer(
                attends if count else convolution, inner if inner and layer >= dense else FeedForward()
            )
            for layer, count in enumerate(kv_heads)
        ),
        (settings.rotary(attends.width),),
        settings.positive("attention.layer_norm_rms_epsilon"),
        output_norm="token_embd_norm",
    )
    settings.check_all_read()
    return decoder


def _describe(file: ModelFile) -> Decoder:
    return _describe_with(Settings(file))


def _describe_mixture(file: ModelFile) -> Decoder:
    settings = Settings(file)
    inner = experts(settings, gating="sigmoid", renormalized=True, selection_bias="exp_probs_b")
    return _describe_with(settings, inner)


register(
    Architecture(
        "lfm2",
        checkpoints={"lfm2": CheckpointRules(_DEFAULTS, _FIXED, _dense_keys, conversions=_CONVERSIONS)},
        describe=_describe,
    )
)
register(
    Architecture(
        "lfm2moe",
        checkpoints={
            "lfm2_moe": CheckpointRules(
                _MIXTURE_DEFAULTS, _MIXTURE_FIXED, _mixture_keys, conversions=_CONVERSIONS
            )
        },
        describe=_describe_mixture,
    )
)
