"""Granite 3 and 4, dense or with experts: Llama with factors of embedding, scores, residual changes and logits."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.config_json import NO_BIASES, WHOLE_HEADS, inexpressible
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.granite_tensors import (
    GRANITE_CONVERSIONS,
    GRANITE_DEFAULTS,
    GRANITE_MIXTURE_DEFAULTS,
    HYBRID_DEFAULTS,
    attending_conversions,
    attending_keys,
    attends_only,
    has_experts,
    mixture_keys,
    rotates_positions,
    scale_keys,
)
from evaluator.models.architectures.layers import decoder_of, has_mixture, usual_layers
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed
from evaluator.models.model_file import ModelFile

_MIXTURE_RULES = CheckpointRules(
    GRANITE_MIXTURE_DEFAULTS,
    {**WHOLE_HEADS, "position_embedding_type": "rope"},
    mixture_keys,
    conversions=GRANITE_CONVERSIONS,
)


def _rotated_keys(config: JsonFile) -> dict[str, Typed]:
    if not rotates_positions(config):
        given = config.values.get("position_embedding_type")
        raise inexpressible(config, "granitemoe", "position_embedding_type", given, "rope")
    return attending_keys(config)


def _attending_rules(*, experts: bool) -> CheckpointRules:
    """Return the rules of a Granite 4 without Mamba 2."""
    return CheckpointRules(
        HYBRID_DEFAULTS,
        NO_BIASES,
        _rotated_keys if experts else attending_keys,
        conversions=attending_conversions,
        applies=lambda config: attends_only(config) and has_experts(config) == experts,
    )


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    # A model without positions is marked by rotary frequencies that were not trained.
    # llama.cpp does not look at the mark in models with experts.
    rotates = settings.flag("rope.scaling.finetuned", True) or file.architecture == "granitemoe"
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
            ),
            "granitemoehybrid": _attending_rules(experts=False),
        },
        describe=_describe,
    )
)
register(
    Architecture(
        "granitemoe",
        checkpoints={
            "granitemoe": _MIXTURE_RULES,
            "granitemoeshared": _MIXTURE_RULES,
            "granitemoehybrid": _attending_rules(experts=True),
        },
        describe=_describe,
    )
)
