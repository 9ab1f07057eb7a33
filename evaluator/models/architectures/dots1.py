"""dots.llm1: Qwen 3's attention and DeepSeek V3's mixture, behind a few dense layers."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import JOINED_EXPERTS
from evaluator.models.architectures.config_json import COMMON, NO_BIASES, routed_expert_keys
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.qwen2 import layers_window
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed
from evaluator.models.model_file import ModelFile

_DEFAULTS = {
    **COMMON,
    "max_position_embeddings": 2048,
    "num_key_value_heads": 32,
    "attention_bias": False,
    "moe_intermediate_size": 1408,
    "num_experts_per_tok": None,
    "n_shared_experts": None,
    "n_routed_experts": None,
    "routed_scaling_factor": 1.0,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 0,
    "norm_topk_prob": False,
    "sliding_window": 4096,
    "max_window_layers": 62,
    "layer_types": None,
}


def _keys(config: JsonFile) -> dict[str, Typed]:
    return routed_expert_keys(config, "sigmoid")


_RULES = CheckpointRules(_DEFAULTS, NO_BIASES, _keys, window=layers_window, conversions=JOINED_EXPERTS)


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings, norm="head")
    inner = experts(settings, gating="sigmoid", renormalized=False, selection_bias="exp_probs_b")
    return decoder_of(settings, usual_layers(settings, attends, inner), settings.rotary(attends.width))


register(Architecture("dots1", checkpoints={"dots1": _RULES}, describe=_describe))
