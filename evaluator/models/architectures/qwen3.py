"""Qwen3: heads of their own width, and norms on every head's query and key."""

from __future__ import annotations

from evaluator.models.architectures import ARCHITECTURES, Architecture
from evaluator.models.architectures.decoder import NORMS, PROJECTIONS, QUERY_KEY_NORMS, decoder_config

ARCHITECTURES.add(
    "qwen3",
    Architecture(
        model_type="qwen3",
        config=decoder_config,
        width_free=("intermediate_size",),
        tensors=NORMS | PROJECTIONS | QUERY_KEY_NORMS,
        restore={},
    ),
)
