"""Nemotron-H: one part per layer: Mamba 2, attention without rotation, or a squared ReLU, dense or as experts."""

from __future__ import annotations

import math

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import Conversions
from evaluator.models.architectures.config_json import NO_BIASES, expert_keys, inexpressible
from evaluator.models.architectures.description import Decoder, Layer, Part
from evaluator.models.architectures.mamba_tensors import mamba_conversions
from evaluator.models.architectures.mixers import Activation, FeedForward, Mixer
from evaluator.models.architectures.parts import attention, experts, mamba
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, boolean, f32, i32_array, u32
from evaluator.models.model_file import ModelFile

_ACTIVATION: Activation = "relu_squared"
_NORM = "attn_norm"
_MAMBA, _ATTENTION, _DENSE, _EXPERTS = "M*-E"
#: Names of the kinds in lists, by which newer configurations have them.
_KINDS = {
    "mamba": _MAMBA,
    "linear_attention": _MAMBA,
    "attention": _ATTENTION,
    "full_attention": _ATTENTION,
    "mlp": _DENSE,
    "moe": _EXPERTS,
}
#: Files of models without positions state this length.
_UNBOUNDED = 1 << 20
_DEFAULTS = {
    "tie_word_embeddings": False,
    "num_key_value_heads": 8,
    "layer_norm_epsilon": 1e-5,
    "mlp_hidden_act": "relu2",
    "conv_kernel": 4,
    "n_groups": 8,
    "ssm_state_size": 128,
}
_MIXTURE_DEFAULTS = {
    "n_group": 1,
    "topk_group": 1,
    "n_shared_experts": 1,
    "norm_topk_prob": True,
    "routed_scaling_factor": 1.0,
}
#: In JSON, "infinite" has two spellings.
_LIMITS = ([0.0, math.inf], [0.0, {"__float__": "Infinity"}])
_FIXED = {
    **NO_BIASES,
    "mlp_bias": False,
    "use_bias": False,
    "mamba_proj_bias": False,
    "use_conv_bias": True,
    "mamba_hidden_act": "silu",
    "sliding_window": None,
    "rope_scaling": None,
}
_MIXER = "backbone.layers.{}.mixer"
_CONVERSIONS: Conversions = {
    **mamba_conversions(_MIXER, "n_groups"),
    **{
        f"{_MIXER}.experts.{{}}.{role}_proj.weight": {f"blk.{{}}.ffn_{role}_exps.weight": ()}
        for role in ("up", "down")
    },
}


def _pattern(config: JsonFile) -> str:
    """Return the kind of each layer as a letter.

    Raises:
        SourceError: a kind is not known, or their number is not that of the layers.
    """
    given = config.values.get("hybrid_override_pattern")
    key = "hybrid_override_pattern" if given is not None else "layers_block_type"
    if given is None:
        given = "".join(_KINDS.get(str(kind), "?") for kind in config.items(key))
    if not isinstance(given, str) or len(given) != config.count("num_hidden_layers"):
        raise config.error(key, given, f"a letter for each of {config.count('num_hidden_layers')} layers")
    if strange := set(given) - set(_KINDS.values()):
        raise config.error(f"a layer of {key}", min(strange), "a known kind")
    return given


def _keys(config: JsonFile) -> dict[str, Typed]:
    pattern = _pattern(config)
    limits = config.values.get("time_step_limit")
    if limits is not None and limits not in _LIMITS:
        raise inexpressible(config, "nemotron_h", "time_step_limit", limits, _LIMITS[0])
    heads, epsilon = config.count("mamba_num_heads"), f32(config.number("layer_norm_epsilon"))
    width = u32(config.count("head_dim" if "head_dim" in config.values else "attention_head_dim"))
    kv_heads, inner = config.count("num_key_value_heads"), _inner_width(config, pattern)
    return {
        "context_length": u32(_UNBOUNDED),
        "feed_forward_length": i32_array([inner * (kind in (_DENSE, _EXPERTS)) for kind in pattern]),
        "attention.head_count_kv": i32_array([kv_heads * (kind == _ATTENTION) for kind in pattern]),
        "attention.key_length": width,
        "attention.value_length": width,
        "attention.layer_norm_epsilon": epsilon,
        "attention.layer_norm_rms_epsilon": epsilon,
        "rope.dimension_count": width,
        "rope.scaling.finetuned": boolean(False),
        "ssm.conv_kernel": u32(config.count("conv_kernel")),
        "ssm.state_size": u32(config.count("ssm_state_size")),
        "ssm.group_count": u32(config.count("n_groups")),
        "ssm.time_step_rank": u32(heads),
        "ssm.inner_size": u32(heads * config.count("mamba_head_dim")),
    }


def _inner_width(config: JsonFile, pattern: str) -> int:
    """Return the inner width of all feed-forward parts, or of an expert."""
    if _EXPERTS not in pattern:
        return config.count("intermediate_size")
    if _DENSE in pattern:
        raise inexpressible(config, "nemotron_h_moe", "hybrid_override_pattern", pattern, "no dense layers")
    return config.count("moe_intermediate_size")


def _mixture_keys(config: JsonFile) -> dict[str, Typed]:
    latent = config.whole("moe_latent_size")
    normalized = config.values.get("norm_topk_prob")
    if not isinstance(normalized, bool):
        raise config.error("norm_topk_prob", normalized, "true or false")
    return {
        **_keys(config),
        **expert_keys(config, count="n_routed_experts", shared="moe_shared_expert_intermediate_size"),
        "expert_shared_count": u32(config.count("n_shared_experts")),
        "expert_weights_norm": boolean(normalized),
        "expert_weights_scale": f32(config.number("routed_scaling_factor")),
        "expert_group_count": u32(config.count("n_group")),
        "expert_group_used_count": u32(config.count("topk_group")),
        **({"moe_latent_size": u32(latent)} if latent else {}),
    }


def _rules(*, mixture: bool) -> CheckpointRules:
    return CheckpointRules(
        _DEFAULTS | (_MIXTURE_DEFAULTS if mixture else {}),
        _FIXED,
        _mixture_keys if mixture else _keys,
        activation=("mlp_hidden_act", ("relu2",)),
        conversions=_CONVERSIONS,
        left_out=("mtp.",),
        applies=lambda config: (_EXPERTS in _pattern(config)) == mixture,
    )


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    epsilon = settings.positive(
        "attention.layer_norm_rms_epsilon", settings.positive("attention.layer_norm_epsilon")
    )
    for name in ("rope.dimension_count", "rope.freq_base"):
        settings.read(name)  # nothing is rotated
    decoder = Decoder(
        settings.count("embedding_length"),
        tuple(_layer(settings, layer) for layer in range(settings.layers)),
        epsilon=epsilon,
    )
    settings.check_all_read()
    return decoder


def _layer(settings: Settings, layer: int) -> Layer:
    """Return the only part of a layer."""
    if settings.counts("feed_forward_length")[layer]:
        return (Part("feed_forward", _inner(settings, layer), _NORM),)
    if settings.counts("attention.head_count_kv")[layer]:
        return (Part("attention", (attention(settings, layer, rotary=None),), _NORM),)
    return (Part("attention", (mamba(settings),), _NORM),)


def _inner(settings: Settings, layer: int) -> tuple[Mixer, ...]:
    """Return the feed-forward part, or experts and the one that all tokens pass through."""
    if not settings.count("expert_count", 0, least=0):
        return (FeedForward(activation=_ACTIVATION, gated=False),)
    for name in ("expert_shared_count", "expert_shared_feed_forward_length"):
        settings.read(name)  # the tensors show it
    routed = experts(
        settings,
        layer,
        gating="sigmoid",
        renormalized=False,
        width=settings.counts("feed_forward_length")[layer],
        activation=_ACTIVATION,
        gated=False,
        selection_bias="exp_probs_b",
        latent=settings.count("moe_latent_size", 0, least=0) or None,
    )
    return routed, FeedForward(activation=_ACTIVATION, gated=False, suffix="_shexp")


for _name, _mixture in (("nemotron_h", False), ("nemotron_h_moe", True)):
    _checkpoints = {"nemotron_h": _rules(mixture=_mixture)}
    register(Architecture(_name, checkpoints=_checkpoints, describe=_describe))
