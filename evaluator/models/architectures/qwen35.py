"""Qwen 3.5: gated DeltaNet in most layers, gated attention in the others."""

from __future__ import annotations

from dataclasses import replace

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.config_json import sections_keys
from evaluator.models.architectures.delta_net_tensors import (
    HYBRID_CONVERSIONS,
    HYBRID_DEFAULTS,
    HYBRID_FIXED,
    MIXTURE_DEFAULTS,
    SECTIONS,
    hybrid_keys,
    shared_expert_keys,
)
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.mixers import DeltaNet, FeedForward, Mixer
from evaluator.models.architectures.parts import attention, experts, pre_norm_layer
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError

_SHARED = FeedForward(suffix="_shexp", weigher="ffn_gate_inp_shexp")
_NORM = "post_attention_norm"
_INTERVAL = 4


def describe_hybrid(file: ModelFile, *inner: Mixer, settings: Settings, joint_beta: bool = False) -> Decoder:
    """Return the description of a model whose layers have these mixers behind attention or DeltaNet.

    Raises:
        SourceError: a setting is missing or not valid.
    """
    attends = attention(settings, norm="head", gated=True)
    delta = _delta_net(settings, joint_beta=joint_beta)
    decoder = Decoder(
        settings.count("embedding_length"),
        tuple(
            pre_norm_layer(delta if recurrent else attends, *inner, ffn_norm=_NORM)
            for recurrent in _recurrent(settings)
        ),
        (settings.rotary(attends.width),),
        settings.positive("attention.layer_norm_rms_epsilon"),
    )
    settings.check_all_read()
    return decoder


def _recurrent(settings: Settings) -> tuple[bool, ...]:
    """Return for each layer whether it is a DeltaNet."""
    interval = settings.count("full_attention_interval", _INTERVAL)
    if settings.has("attention.recurrent_layers"):
        return settings.flags("attention.recurrent_layers")
    return tuple((layer + 1) % interval != 0 for layer in range(settings.layers))


def _delta_net(settings: Settings, *, joint_beta: bool) -> DeltaNet:
    value_heads, inner = settings.count("ssm.time_step_rank"), settings.count("ssm.inner_size")
    key_heads = settings.count("ssm.group_count")
    if inner % value_heads or value_heads % key_heads:
        raise SourceError(
            settings.file.path, f"{value_heads} value heads do not fit {inner} values and {key_heads} keys"
        )
    return DeltaNet(
        key_heads=key_heads,
        value_heads=value_heads,
        key_width=settings.count("ssm.state_size"),
        value_width=inner // value_heads,
        kernel=settings.count("ssm.conv_kernel"),
        joint_beta=joint_beta,
    )


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    settings.count("feed_forward_length")  # the tensors show it
    return describe_hybrid(file, FeedForward(), settings=settings)


def experts_beside_shared(settings: Settings) -> tuple[Mixer, ...]:
    """Return the experts of these families, and the one that all tokens pass through."""
    for name in ("feed_forward_length", "expert_shared_feed_forward_length"):
        settings.count(name, 1, least=0)  # the tensors show it
    return experts(settings, gating="softmax", renormalized=True), _SHARED


def _describe_mixture(file: ModelFile) -> Decoder:
    settings = Settings(file)
    return describe_hybrid(file, *experts_beside_shared(settings), settings=settings)


def _keys(config: JsonFile) -> dict[str, Typed]:
    return {**hybrid_keys(config), **sections_keys(config, SECTIONS)}


def _mixture_keys(config: JsonFile) -> dict[str, Typed]:
    return {**_keys(config), **shared_expert_keys(config)}


_RULES = CheckpointRules(
    {**HYBRID_DEFAULTS, "num_key_value_heads": 4},
    HYBRID_FIXED,
    _keys,
    conversions=HYBRID_CONVERSIONS,
    left_out=("mtp.",),
)
_MIXTURE_DEFAULTS = {
    **HYBRID_DEFAULTS,
    **MIXTURE_DEFAULTS,
    "num_key_value_heads": 2,
    "num_experts": 256,
    "num_experts_per_tok": 8,
}
_MIXTURE_RULES = replace(
    _RULES,
    defaults=_MIXTURE_DEFAULTS,
    own_keys=_mixture_keys,
    absent=frozenset({"feed_forward_length"}),
)

register(Architecture("qwen35", checkpoints={"qwen3_5_text": _RULES}, describe=_describe))
register(
    Architecture("qwen35moe", checkpoints={"qwen3_5_moe_text": _MIXTURE_RULES}, describe=_describe_mixture)
)
