"""Hunyuan, dense or with experts: queries and keys are normalized after the rotation."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import JOINED_EXPERTS
from evaluator.models.architectures.config_json import (
    COMMON,
    NO_BIASES,
    head_width,
    inexpressible,
    rotary_settings,
)
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, f32, u32
from evaluator.models.model_file import ModelFile

_DEFAULTS = {
    **COMMON,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 2048,
    "num_key_value_heads": None,
    "attention_bias": False,
}
_MIXTURE_DEFAULTS = {**_DEFAULTS, "num_experts": 1, "moe_topk": 1}


def _rotary_keys(config: JsonFile) -> dict[str, Typed]:
    """Return the base of the frequencies, which "dynamic" scaling with an alpha enlarges for all windows."""
    settings = rotary_settings(config)
    base = settings.number("rope_theta", config.number("rope_theta"))
    if not settings.values.get("alpha"):
        return {}
    width = head_width(config)
    return {"rope.freq_base": f32(base * settings.number("alpha") ** (width / (width - 2)))}


def _mixture_keys(config: JsonFile) -> dict[str, Typed]:
    """Return the keys of the experts, whose numbers may be listed for each layer if they are equal."""
    width = config.count("intermediate_size")
    once = {key: config.values.get(key) for key in ("moe_topk", "moe_intermediate_size", "num_shared_expert")}
    for key, value in once.items():
        if isinstance(value, list):
            if not value or any(item != value[0] for item in value):
                raise inexpressible(config, "hunyuan-moe", key, value, "the same in all layers")
            once[key] = value[0]
    numbers = JsonFile(config.path, once)
    if numbers.count("moe_intermediate_size", width) != width:
        raise inexpressible(
            config, "hunyuan-moe", "moe_intermediate_size", once["moe_intermediate_size"], width
        )
    return {
        **_rotary_keys(config),
        "expert_count": u32(config.count("num_experts")),
        "expert_used_count": u32(numbers.count("moe_topk")),
        "expert_feed_forward_length": u32(width),
        "expert_shared_feed_forward_length": u32(width),
        "expert_shared_count": u32(numbers.count("num_shared_expert", 1)),
    }


_FIXED = {**NO_BIASES, "use_cla": False}


def _describe(file: ModelFile, *, mixture: bool = False) -> Decoder:
    settings = Settings(file)
    attends = attention(settings, norm="head", norm_after_rotary=True)
    inner = experts(settings, gating="softmax", renormalized=True) if mixture else None
    rotary = settings.rotary(attends.width, factors=FREQUENCY_FACTORS)
    return decoder_of(settings, usual_layers(settings, attends, inner), rotary)


def _describe_mixture(file: ModelFile) -> Decoder:
    return _describe(file, mixture=True)


register(
    Architecture(
        "hunyuan-dense",
        checkpoints={
            "hunyuan_v1_dense": CheckpointRules(_DEFAULTS, _FIXED, _rotary_keys, alpha_for_all=True)
        },
        describe=_describe,
    )
)
register(
    Architecture(
        "hunyuan-moe",
        checkpoints={
            "hunyuan_v1_moe": CheckpointRules(
                _MIXTURE_DEFAULTS,
                _FIXED,
                _mixture_keys,
                conversions=JOINED_EXPERTS,
                alpha_for_all=True,
            )
        },
        describe=_describe_mixture,
    )
)
