"""Tiny random models of every family, made by transformers."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gguf
import numpy as np
import torch
from tiny_models import tiny_tokens
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

WIDTH, HEADS, GROUPS, HEAD_DIM = 256, 4, 2, 64
#: Shorter than the tests' texts, so that the sliding window has an effect.
WINDOW = 20
TOKENS, TYPES = tiny_tokens()
_BASE = {
    "vocab_size": len(TOKENS),
    "hidden_size": WIDTH,
    "intermediate_size": 320,
    "num_attention_heads": HEADS,
    "num_key_value_heads": GROUPS,
    "head_dim": HEAD_DIM,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 512,
    "attn_implementation": "eager",
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
_STRETCH = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
_SHORT, _LONG = np.linspace(1, 2, 16).tolist(), np.linspace(2, 9, 16).tolist()
_ORIGINAL, _LONGER = 128, 512


@dataclass(frozen=True)
class Family:
    """Settings of a family's model, differences of its file, and changes that must affect the result.

    Attributes:
        architecture: `general.architecture`.
        settings: transformers' configuration, added to the common one.
        metadata: writes the keys that only this family has.
        permuted: whether rows of queries and keys are interleaved for the rotary embedding.
        norm_offset: the file's norms minus transformers' parameters.
        factors: extra tensors of frequency factors.
        essential: changes of the configuration, each of which must change the result.
    """

    architecture: str
    settings: dict[str, Any]
    metadata: Callable[[gguf.GGUFWriter], None] = lambda _: None
    permuted: bool = False
    norm_offset: float = 0.0
    factors: Mapping[str, list[float]] = field(default_factory=dict)
    essential: tuple[dict[str, Any], ...] = ()


def _llama3_factors() -> list[float]:
    """Return the divisors of the frequencies: 1 for short waves, the full factor for long ones, smooth between."""
    factors = []
    for i in range(0, HEAD_DIM, 2):
        wave = 2 * math.pi * 10000.0 ** (i / HEAD_DIM)
        context = _STRETCH["original_max_position_embeddings"]
        smooth = (context / wave - _STRETCH["low_freq_factor"]) / (
            _STRETCH["high_freq_factor"] - _STRETCH["low_freq_factor"]
        )
        smooth = min(max(smooth, 0.0), 1.0)
        factors.append(1 / ((1 - smooth) / _STRETCH["factor"] + smooth))
    return factors


def _gemma_soft_caps(writer: gguf.GGUFWriter) -> None:
    writer.add_sliding_window(WINDOW)
    writer.add_attn_logit_softcapping(2.0)
    writer.add_final_logit_softcapping(3.0)


def _gemma3_scaling(writer: gguf.GGUFWriter) -> None:
    writer.add_sliding_window(WINDOW)
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(4.0)


def _yarn(writer: gguf.GGUFWriter) -> None:
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(4.0)
    writer.add_rope_scaling_orig_ctx_len(_ORIGINAL)


def _long_rope(writer: gguf.GGUFWriter) -> None:
    writer.add_sliding_window(WINDOW)
    writer.add_rope_dimension_count(len(_SHORT) * 2)
    writer.add_rope_scaling_orig_ctx_len(_LONGER)
    writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(4) / math.log(_LONGER)))


def _experts(
    count: int, used: int, width: int | None = None, shared: int | None = None
) -> Callable[[gguf.GGUFWriter], None]:
    def write(writer: gguf.GGUFWriter) -> None:
        writer.add_expert_count(count)
        writer.add_expert_used_count(used)
        if width:
            writer.add_expert_feed_forward_length(width)
        if shared:
            writer.add_expert_shared_feed_forward_length(shared)

    return write


FAMILIES: Mapping[str, Family] = {
    "llama": Family(
        "llama",
        {
            "model_type": "llama",
            "num_hidden_layers": 2,
            "attention_bias": True,
            "mlp_bias": True,
            "tie_word_embeddings": True,
            "rope_scaling": {"rope_type": "llama3", **_STRETCH},
        },
        permuted=True,
        factors={"rope_freqs.weight": _llama3_factors()},
        essential=({"rope_scaling": None}, {"mlp_bias": False}, {"attention_bias": False}),
    ),
    "mistral": Family(
        "llama",
        {"model_type": "mistral", "num_hidden_layers": 2, "sliding_window": WINDOW},
        metadata=lambda writer: writer.add_sliding_window(WINDOW),
        permuted=True,
        essential=({"sliding_window": None},),
    ),
    "llama with three biases": Family(
        "llama", {"model_type": "qwen2", "num_hidden_layers": 1}, permuted=True
    ),
    "qwen2": Family("qwen2", {"model_type": "qwen2", "num_hidden_layers": 2, "tie_word_embeddings": True}),
    "qwen3": Family(
        "qwen3",
        {
            "model_type": "qwen3",
            "num_hidden_layers": 2,
            "head_dim": 96,  # not width / heads
            "rope_scaling": {
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": _ORIGINAL,
            },
        },
        metadata=_yarn,
        essential=({"rope_scaling": None},),
    ),
    "qwen3 with experts": Family(
        "qwen3moe",
        {
            "model_type": "qwen3_moe",
            "num_hidden_layers": 2,
            "num_experts": 8,
            "num_experts_per_tok": 3,
            "moe_intermediate_size": 96,
            "norm_topk_prob": True,
        },
        metadata=_experts(8, 3, width=96),
        essential=({"num_experts_per_tok": 2}, {"norm_topk_prob": False}),
    ),
    "qwen2 with experts": Family(
        "qwen2moe",
        {
            "model_type": "qwen2_moe",
            "num_hidden_layers": 2,
            "num_experts": 6,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 96,
            "shared_expert_intermediate_size": 160,
            "norm_topk_prob": False,
        },
        metadata=_experts(6, 2, width=96, shared=160),
        essential=({"num_experts_per_tok": 3}, {"norm_topk_prob": True}),
    ),
    "mixtral": Family(
        "llama",
        {
            "model_type": "mixtral",
            "num_hidden_layers": 2,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "sliding_window": None,
        },
        metadata=_experts(4, 2),
        permuted=True,
        essential=({"num_experts_per_tok": 1},),
    ),
    "smollm3": Family(
        "smollm3",
        {"model_type": "smollm3", "num_hidden_layers": 5, "tie_word_embeddings": True},
        permuted=True,
        essential=({"no_rope_layers": [1] * 5},),
    ),
    "phi3": Family(
        "phi3",
        {
            "model_type": "phi3",
            "num_hidden_layers": 2,
            "sliding_window": WINDOW,
            "partial_rotary_factor": 0.5,
            "max_position_embeddings": 4 * _LONGER,
            "original_max_position_embeddings": _LONGER,
            "rope_scaling": {"type": "longrope", "short_factor": _SHORT, "long_factor": _LONG},
        },
        metadata=_long_rope,
        factors={"rope_factors_short.weight": _SHORT, "rope_factors_long.weight": _LONG},
        essential=({"sliding_window": None}, {"rope_scaling": None}, {"max_position_embeddings": _LONGER}),
    ),
    "gemma": Family(
        "gemma",
        {"model_type": "gemma", "num_hidden_layers": 2},
        norm_offset=1.0,
        essential=({"hidden_act": "silu"},),
    ),
    "gemma2": Family(
        "gemma2",
        {
            "model_type": "gemma2",
            "num_hidden_layers": 3,
            "sliding_window": WINDOW,
            "query_pre_attn_scalar": HEAD_DIM,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
        },
        metadata=_gemma_soft_caps,
        norm_offset=1.0,
        essential=(
            {"layer_types": ["full_attention"] * 3},
            {"attn_logit_softcapping": None},
            {"final_logit_softcapping": None},
        ),
    ),
    "gemma3": Family(
        "gemma3",
        {
            "model_type": "gemma3_text",
            "num_hidden_layers": 7,
            "sliding_window": WINDOW,
            "rope_theta": 1e6,
            "query_pre_attn_scalar": HEAD_DIM,
            "rope_scaling": {"rope_type": "linear", "factor": 4.0},
        },
        metadata=_gemma3_scaling,
        norm_offset=1.0,
        essential=(
            {"layer_types": ["full_attention"] * 7},
            {"layer_types": ["sliding_attention"] * 7},
            {"rope_scaling": None},
            {"rope_local_base_freq": 1e6},
        ),
    ),
}
#: Families without experts; the graph of a mixture is that of one of them.
DENSE = tuple(name for name, family in FAMILIES.items() if "num_experts_per_tok" not in family.settings)


def torch_model(family: Family, **changes: Any) -> PreTrainedModel:
    """Return the family's model in evaluation mode, with the same random weights at every call."""
    config = AutoConfig.for_model(**(_BASE | family.settings | changes))
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Seeded by name, so that removing a parameter does not change the others.
            generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            parameter.normal_(std=0.08, generator=generator)
            if name.endswith("norm.weight"):
                parameter.add_(1 - family.norm_offset)
    return model
