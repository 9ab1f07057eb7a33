"""Qwen3: a head width that is independent of the model's, and norms on each head's query and key."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.config_json import NO_BIASES
from evaluator.models.architectures.decoder import NORMS, PROJECTIONS, QUERY_KEY_NORMS, decoder_config
from evaluator.models.architectures.qwen2 import QWEN2_DEFAULTS, qwen_window

register(
    Architecture(
        name="qwen3",
        model_type="qwen3",
        config=decoder_config,
        tensors=NORMS | PROJECTIONS | QUERY_KEY_NORMS,
        checkpoints={
            "qwen3": CheckpointRules({**QWEN2_DEFAULTS, "head_dim": 128}, NO_BIASES, window=qwen_window)
        },
    )
)
