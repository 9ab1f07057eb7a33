"""Qwen3-Next: Qwen 3.5's layers with a mixture, and one product for the rates and decays of DeltaNet."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.config_json import ALL_EXPERTS
from evaluator.models.architectures.delta_net_tensors import (
    HYBRID_DEFAULTS,
    HYBRID_FIXED,
    MIXTURE_DEFAULTS,
    NEXT_CONVERSIONS,
    hybrid_keys,
    shared_expert_keys,
)
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.qwen35 import describe_hybrid, experts_beside_shared
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed
from evaluator.models.model_file import ModelFile

_DEFAULTS = {
    **HYBRID_DEFAULTS,
    **MIXTURE_DEFAULTS,
    "num_key_value_heads": 2,
    "num_experts": 512,
    "num_experts_per_tok": 10,
    "norm_topk_prob": True,
}


def _keys(config: JsonFile) -> dict[str, Typed]:
    return {**hybrid_keys(config), **shared_expert_keys(config)}


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    return describe_hybrid(file, *experts_beside_shared(settings), settings=settings, joint_beta=True)


register(
    Architecture(
        "qwen3next",
        checkpoints={
            "qwen3_next": CheckpointRules(
                {**_DEFAULTS, "intermediate_size": 5632},
                {**HYBRID_FIXED, **ALL_EXPERTS, "norm_topk_prob": True},
                _keys,
                conversions=NEXT_CONVERSIONS,
                left_out=("mtp.",),
            )
        },
        describe=_describe,
    )
)
