"""Granite 3 and 4, dense or with experts: Llama with factors of embedding, scores, residual changes and logits."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import FIRST_HALF, INTERLEAVED, SECOND_HALF, Conversions
from evaluator.models.architectures.config_json import (
    COMMON,
    WHOLE_HEADS,
    full_rotary_key,
    used_expert_keys,
)
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, has_mixture, usual_layers
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, f32, u32
from evaluator.models.model_file import ModelFile

GRANITE_DEFAULTS = {
    **COMMON,
    "max_position_embeddings": 2048,
    "num_key_value_heads": None,
    "attention_bias": False,
    "mlp_bias": False,
    "embedding_multiplier": 1.0,
    "logits_scaling": 1.0,
    "residual_multiplier": 1.0,
    "attention_multiplier": 1.0,
}
GRANITE_MIXTURE_DEFAULTS = {
    **{key: value for key, value in GRANITE_DEFAULTS.items() if key != "mlp_bias"},
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
}
_SCALES = {
    "attention.scale": "attention_multiplier",
    "embedding_scale": "embedding_multiplier",
    "residual_scale": "residual_multiplier",
    "logit_scale": "logits_scaling",
}
_MIXTURE, _SHARED = "model.layers.{}.block_sparse_moe", "model.layers.{}.shared_mlp"
GRANITE_CONVERSIONS: Conversions = {
    **INTERLEAVED,
    f"{_MIXTURE}.input_linear.weight": {
        "blk.{}.ffn_gate_exps.weight": (FIRST_HALF,),
        "blk.{}.ffn_up_exps.weight": (SECOND_HALF,),
    },
    f"{_MIXTURE}.output_linear.weight": {"blk.{}.ffn_down_exps.weight": ()},
    f"{_SHARED}.input_linear.weight": {
        "blk.{}.ffn_gate_shexp.weight": (FIRST_HALF,),
        "blk.{}.ffn_up_shexp.weight": (SECOND_HALF,),
    },
    f"{_SHARED}.output_linear.weight": {"blk.{}.ffn_down_shexp.weight": ()},
}


def scale_keys(config: JsonFile) -> dict[str, Typed]:
    """Return the metadata keys of the family's four factors."""
    scales = {key: f32(config.number(name)) for key, name in _SCALES.items()}
    return {**full_rotary_key(config), **scales}


def _mixture_keys(config: JsonFile) -> dict[str, Typed]:
    shared = config.values.get("shared_intermediate_size")
    width = (
        {"expert_shared_feed_forward_length": u32(config.count("shared_intermediate_size"))} if shared else {}
    )
    return {**scale_keys(config), **used_expert_keys(config, "num_local_experts"), **width}


_MIXTURE_RULES = CheckpointRules(
    GRANITE_MIXTURE_DEFAULTS,
    {**WHOLE_HEADS, "position_embedding_type": "rope"},
    _mixture_keys,
    conversions=GRANITE_CONVERSIONS,
)


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    # A model without positions is marked by rotary frequencies that were not trained.
    rotates = settings.flag("rope.scaling.finetuned", True)
    attends = attention(settings, rotary=0 if rotates else None)
    inner = None
    if has_mixture(settings):
        width = settings.count("feed_forward_length")
        inner = experts(settings, gating="softmax", renormalized=True, width=width)
    else:
        for name in ("expert_count", "expert_used_count"):
            settings.read(name)
    layers = usual_layers(settings, attends, inner, scale=settings.number("residual_scale", 0.0) or 1.0)
    return decoder_of(
        settings,
        layers,
        settings.rotary(attends.width, interleaved=True, factors=FREQUENCY_FACTORS),
        embedding_scale=settings.number("embedding_scale", 0.0) or 1.0,
        logit_scale=1 / settings.positive("logit_scale", 1.0),
    )


register(
    Architecture(
        "granite",
        checkpoints={
            "granite": CheckpointRules(
                GRANITE_DEFAULTS, WHOLE_HEADS, scale_keys, conversions=GRANITE_CONVERSIONS
            )
        },
        describe=_describe,
    )
)
register(
    Architecture(
        "granitemoe",
        checkpoints={"granitemoe": _MIXTURE_RULES, "granitemoeshared": _MIXTURE_RULES},
        describe=_describe,
    )
)
