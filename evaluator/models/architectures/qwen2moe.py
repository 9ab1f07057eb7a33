"""Qwen2 with experts: Qwen2's attention, a softmax router, and a shared expert with a gate."""

from __future__ import annotations

from typing import Any

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.decoder import (
    NORMS,
    PROJECTIONS,
    biases,
    decoder_config,
    same_in_all_layers,
)
from evaluator.models.architectures.mixture import Mixture, expert_width, read_mixture
from evaluator.models.model_file import ModelFile

_SHARED = "expert_shared_feed_forward_length"


def _config(file: ModelFile) -> dict[str, Any]:
    return decoder_config(file, inner=expert_width(file))


def _mixture(file: ModelFile) -> Mixture:
    key = f"{file.architecture}.{_SHARED}" if file.metadata.get(f"{file.architecture}.{_SHARED}") else None
    return read_mixture(
        file,
        gating="softmax",
        renormalized=False,
        width=expert_width(file),
        shared_width=same_in_all_layers(file, key or f"{file.architecture}.feed_forward_length"),
        shared_gated=True,
        own_keys=(_SHARED,),
    )


register(
    Architecture(
        name="qwen2moe",
        model_type="qwen2",
        config=_config,
        tensors=NORMS | PROJECTIONS | biases("attn_q", "attn_k", "attn_v"),
        checkpoints={},
        mixture=_mixture,
    )
)
