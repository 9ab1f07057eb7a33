"""Granite 4 and Bamba: Mamba 2 in most layers, attention in the others, with or without experts.

Attention rotates queries and keys only if the file says so.
"""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import Conversions
from evaluator.models.architectures.config_json import NO_BIASES, inexpressible, layer_types
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.granite_tensors import (
    ATTENTION,
    HYBRID_DEFAULTS,
    MAMBA,
    attending_conversions,
    attending_keys,
    attends_only,
    rotates_positions,
)
from evaluator.models.architectures.mamba_tensors import mamba_conversions
from evaluator.models.architectures.mixers import FeedForward, Mixer
from evaluator.models.architectures.parts import attention, experts, mamba, pre_norm_layer
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, i32_array, u32
from evaluator.models.model_file import ModelFile

#: Files of models without positions state this length.
_UNBOUNDED = 1 << 20
#: Norms of the gated output are over all groups at once in checkpoints, and group by group in GGUF files.
_FIXED = {**NO_BIASES, "mamba_n_groups": 1, "mamba_conv_bias": True, "mamba_proj_bias": False}
_MAMBA_CONVERSIONS = mamba_conversions("model.layers.{}.mamba", "mamba_n_groups")


def _keys(config: JsonFile) -> dict[str, Typed]:
    layers = config.count("num_hidden_layers")
    types = layer_types(config, (MAMBA, ATTENTION)) or [MAMBA] * layers
    if len(set(types)) < 2:
        raise inexpressible(config, "granitehybrid", "layer_types", types[:1], f"{MAMBA} and {ATTENTION}")
    rotates = rotates_positions(config)
    inner, heads = config.count("mamba_expand") * config.count("hidden_size"), config.count("mamba_n_heads")
    if config.values.get("mamba_d_head") not in ("auto", None, inner // heads):
        raise config.error("mamba_d_head", config.values["mamba_d_head"], str(inner // heads))
    kv_heads = config.count("num_key_value_heads", config.count("num_attention_heads"))
    return {
        **attending_keys(config),
        **({} if rotates else {"context_length": u32(_UNBOUNDED)}),
        "attention.head_count_kv": i32_array([kv_heads * (kind == ATTENTION) for kind in types]),
        "ssm.conv_kernel": u32(config.count("mamba_d_conv")),
        "ssm.state_size": u32(config.count("mamba_d_state")),
        "ssm.group_count": u32(config.count("mamba_n_groups")),
        "ssm.time_step_rank": u32(heads),
        "ssm.inner_size": u32(inner),
    }


def _conversions(config: JsonFile) -> Conversions:
    return {**attending_conversions(config), **_MAMBA_CONVERSIONS}


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    kv_heads = settings.counts("attention.head_count_kv")
    rotates = settings.flag("rope.scaling.finetuned", True)
    attends = attention(settings, layer=kv_heads.index(max(kv_heads)), rotary=0 if rotates else None)
    state_space, inner = mamba(settings), _inner(settings)
    scale = settings.number("residual_scale", 0.0) or 1.0
    rotary = settings.rotary(attends.width, interleaved=True, factors=FREQUENCY_FACTORS)
    decoder = Decoder(
        settings.count("embedding_length"),
        tuple(pre_norm_layer(attends if count else state_space, *inner, scale=scale) for count in kv_heads),
        (rotary,) if rotates else (),
        settings.positive("attention.layer_norm_rms_epsilon"),
        embedding_scale=settings.number("embedding_scale", 0.0) or 1.0,
        logit_scale=1 / (settings.number("logit_scale", 0.0) or 1.0),
    )
    settings.check_all_read()
    return decoder


def _inner(settings: Settings) -> tuple[Mixer, ...]:
    """Return the feed-forward part, or experts and the one that all tokens pass through."""
    width = settings.count("feed_forward_length")
    if not settings.count("expert_count", 0, least=0):
        return (FeedForward(),)
    shared = settings.count("expert_shared_feed_forward_length", 0, least=0)
    routed = experts(settings, gating="softmax", renormalized=True, width=width)
    return (routed, FeedForward(suffix="_shexp")) if shared else (routed,)


register(
    Architecture(
        "granitehybrid",
        checkpoints={
            "granitemoehybrid": CheckpointRules(
                HYBRID_DEFAULTS,
                _FIXED,
                _keys,
                conversions=_conversions,
                applies=lambda config: not attends_only(config),
            )
        },
        describe=_describe,
    )
)
