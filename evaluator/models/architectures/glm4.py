"""GLM-4 and GLM-4.5: half of a head's dimensions are rotated; GLM-4 has norms before and behind parts of layers."""

from __future__ import annotations

from typing import Any

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import JOINED_EXPERTS
from evaluator.models.architectures.config_json import COMMON, FIXED, rotated_keys, routed_expert_keys
from evaluator.models.architectures.description import Decoder, Part
from evaluator.models.architectures.layers import decoder_of, has, usual_layers
from evaluator.models.architectures.mixers import FeedForward
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed
from evaluator.models.model_file import ModelFile

_SECTIONS = "rope.dimension_sections"


_DEFAULTS = {
    **COMMON,
    "rms_norm_eps": 1.5625e-07,
    "max_position_embeddings": 131072,
    "num_key_value_heads": 2,
    "head_dim": 128,
    "partial_rotary_factor": 0.5,
    "attention_bias": True,
}
_MIXTURE_DEFAULTS = {
    **COMMON,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 131072,
    "num_key_value_heads": 8,
    "partial_rotary_factor": 0.5,
    "attention_bias": False,
    "moe_intermediate_size": 1408,
    "num_experts_per_tok": 8,
    "n_shared_experts": 1,
    "n_routed_experts": 128,
    "routed_scaling_factor": 1.0,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "norm_topk_prob": True,
    "use_qk_norm": False,
}


def _mixture_keys(config: JsonFile) -> dict[str, Typed]:
    return {**rotated_keys(config), **routed_expert_keys(config, "sigmoid")}


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings)
    layer = (
        Part("attention", (attends,), "attn_norm", post_norm="post_attention_norm"),
        Part("feed_forward", (FeedForward(),), "ffn_norm", post_norm="post_ffw_norm"),
    )
    # Converters rearrange the rows of models that also see images, whose positions have several parts.
    sections: Any = settings.read(_SECTIONS)
    interleaved = not any(sections if sections is not None else ())
    rotary = settings.rotary(attends.width, interleaved=interleaved)
    return decoder_of(settings, (layer,) * settings.layers, rotary)


def _describe_mixture(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings, norm="head" if has(settings, "attn_q_norm", 0) else None)
    inner = experts(settings, gating="sigmoid", renormalized=False, selection_bias="exp_probs_b")
    layers = usual_layers(settings, attends, inner, ffn_norm="post_attention_norm")
    return decoder_of(settings, layers, settings.rotary(attends.width))


register(
    Architecture(
        "glm4", checkpoints={"glm4": CheckpointRules(_DEFAULTS, FIXED, rotated_keys)}, describe=_describe
    )
)
register(
    Architecture(
        "glm4moe",
        checkpoints={
            "glm4_moe": CheckpointRules(_MIXTURE_DEFAULTS, FIXED, _mixture_keys, conversions=JOINED_EXPERTS)
        },
        describe=_describe_mixture,
    )
)
