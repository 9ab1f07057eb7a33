"""OLMoE: norms of all heads' queries and keys, and a mixture whose chosen scores are not divided by their sum."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import JOINED_EXPERTS
from evaluator.models.architectures.config_json import COMMON, NO_BIASES, used_expert_keys
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile

_DEFAULTS = {
    **COMMON,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 4096,
    "num_key_value_heads": None,
    "attention_bias": False,
    "num_experts": 64,
    "num_experts_per_tok": 8,
    "norm_topk_prob": False,
    "clip_qkv": None,
}


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings, norm="all")
    width = settings.count("feed_forward_length")
    inner = experts(settings, gating="softmax", renormalized=False, width=width)
    return decoder_of(settings, usual_layers(settings, attends, inner), settings.rotary(attends.width))


register(
    Architecture(
        "olmoe",
        checkpoints={
            "olmoe": CheckpointRules(
                _DEFAULTS,
                {**NO_BIASES, "norm_topk_prob": False, "clip_qkv": None},
                used_expert_keys,
                conversions=JOINED_EXPERTS,
            )
        },
        describe=_describe,
    )
)
