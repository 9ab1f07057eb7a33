"""The language models of Qwen3-VL, dense or with experts: for a text they are Qwen 3.

Files of their image encoders are apart.
"""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import FIRST_HALF, SECOND_HALF, Conversions, Transposed
from evaluator.models.architectures.config_json import (
    ALL_EXPERTS,
    COMMON,
    NO_BIASES,
    expert_keys,
    sections_keys,
)
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed
from evaluator.models.model_file import ModelFile

_SECTIONS = (24, 20, 20, 0)
_DEFAULTS = {
    **COMMON,
    "rope_theta": 5000000.0,
    "max_position_embeddings": 128000,
    "attention_bias": False,
}
_DENSE_DEFAULTS = {**_DEFAULTS, "num_key_value_heads": 32, "head_dim": 128}
_MIXTURE_DEFAULTS = {
    **_DEFAULTS,
    "num_key_value_heads": 16,
    "moe_intermediate_size": 1408,
    "num_experts": 60,
    "num_experts_per_tok": 4,
    "norm_topk_prob": True,
}
_EXPERTS = "model.layers.{}.mlp.experts"
_CONVERSIONS: Conversions = {
    f"{_EXPERTS}.gate_up_proj": {
        "blk.{}.ffn_gate_exps.weight": (Transposed(), FIRST_HALF),
        "blk.{}.ffn_up_exps.weight": (Transposed(), SECOND_HALF),
    },
    f"{_EXPERTS}.down_proj": {"blk.{}.ffn_down_exps.weight": (Transposed(),)},
}


def _keys(config: JsonFile) -> dict[str, Typed]:
    return sections_keys(config, _SECTIONS)


def _mixture_keys(config: JsonFile) -> dict[str, Typed]:
    return {**_keys(config), **expert_keys(config)}


def _describe(file: ModelFile, *, mixture: bool = False) -> Decoder:
    settings = Settings(file)
    attends = attention(settings, norm="head")
    inner = None
    if mixture:
        dense = settings.count("feed_forward_length", 1)
        width = max(1, dense // settings.count("expert_used_count"))
        inner = experts(settings, gating="softmax", renormalized=True, width=width)
    return decoder_of(settings, usual_layers(settings, attends, inner), settings.rotary(attends.width))


def _describe_mixture(file: ModelFile) -> Decoder:
    return _describe(file, mixture=True)


register(
    Architecture(
        "qwen3vl",
        checkpoints={"qwen3_vl_text": CheckpointRules(_DENSE_DEFAULTS, NO_BIASES, _keys)},
        describe=_describe,
    )
)
register(
    Architecture(
        "qwen3vlmoe",
        checkpoints={
            "qwen3_vl_moe_text": CheckpointRules(
                _MIXTURE_DEFAULTS,
                {**NO_BIASES, **ALL_EXPERTS, "norm_topk_prob": True},
                _mixture_keys,
                conversions=_CONVERSIONS,
            )
        },
        describe=_describe_mixture,
    )
)
