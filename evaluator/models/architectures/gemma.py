"""Gemma and CodeGemma: embeddings scaled by √width, a GELU gate, norm weights stored minus one by transformers."""

from __future__ import annotations

from typing import Any

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.config_json import COMMON, NO_BIASES
from evaluator.models.architectures.decoder import NORMS, PROJECTIONS, decoder_config
from evaluator.models.metadata_values import boolean
from evaluator.models.model_file import ModelFile

GELU = "gelu_pytorch_tanh"
NO_SPACE_PREFIX = {"tokenizer.ggml.add_space_prefix": boolean(False)}
_DEFAULTS = {
    **COMMON,
    "tie_word_embeddings": True,
    "head_dim": 256,
    "max_position_embeddings": 8192,
    "num_key_value_heads": 16,
    "hidden_act": GELU,
}


def _gemma_config(file: ModelFile) -> dict[str, Any]:
    return decoder_config(file) | {"hidden_act": GELU}


register(
    Architecture(
        name="gemma",
        model_type="gemma",
        config=_gemma_config,
        tensors=NORMS | PROJECTIONS,
        checkpoints={
            "gemma": CheckpointRules(
                _DEFAULTS, NO_BIASES, activation=("hidden_act", (GELU,)), overrides=NO_SPACE_PREFIX
            )
        },
        norm_offset=1.0,
    )
)
