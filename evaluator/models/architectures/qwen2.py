"""Qwen2 and Qwen2.5: a Llama-like decoder with biases on query, key and value, rows in their own order."""

from __future__ import annotations

from evaluator.models.architectures import ARCHITECTURES, Architecture
from evaluator.models.architectures.decoder import NORMS, PROJECTIONS, biases, decoder_config

ARCHITECTURES.add(
    "qwen2",
    Architecture(
        model_type="qwen2",
        config=decoder_config,
        width_free=("intermediate_size",),
        tensors=NORMS | PROJECTIONS | biases("attn_q", "attn_k", "attn_v"),
        restore={},
    ),
)
