"""MiniMax-M2: norms of all heads' queries and keys, partly rotated heads, and a mixture in every layer."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import JOINED_EXPERTS
from evaluator.models.architectures.config_json import COMMON, FIXED, expert_keys, head_width, turned_share
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.mixture import GATING_NUMBERS
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, u32
from evaluator.models.model_file import ModelFile

_DEFAULTS = {
    **COMMON,
    "rope_theta": 5e6,
    "max_position_embeddings": 196608,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "num_local_experts": 256,
    "num_experts_per_tok": 8,
    "scoring_func": "sigmoid",
    "use_qk_norm": True,
    "qk_norm_type": "per_layer",
    "use_routing_bias": True,
}
_FIXED = {
    **FIXED,
    "scoring_func": "sigmoid",
    "use_qk_norm": True,
    "qk_norm_type": "per_layer",
    "use_routing_bias": True,
    "shared_intermediate_size": 0,
}


def _own_keys(config: JsonFile) -> dict[str, Typed]:
    turned = int(head_width(config) * turned_share(config))
    if turned == head_width(config):
        turned = config.count("rotary_dim", turned)
    return {
        **expert_keys(config, count="num_local_experts", width="intermediate_size"),
        "rope.dimension_count": u32(turned),
        "expert_gating_func": u32(GATING_NUMBERS["sigmoid"]),
    }


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings, norm="all")
    inner = experts(settings, gating="sigmoid", renormalized=True, selection_bias="exp_probs_b")
    return decoder_of(settings, usual_layers(settings, attends, inner), settings.rotary(attends.width))


register(
    Architecture(
        "minimax-m2",
        checkpoints={
            "minimax_m2": CheckpointRules(
                _DEFAULTS, _FIXED, _own_keys, conversions=JOINED_EXPERTS, left_out=("model.mtp",)
            )
        },
        describe=_describe,
    )
)
