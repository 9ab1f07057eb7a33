"""Gemma and CodeGemma: embeddings scaled by √width, a GELU gate, norms that transformers stores less one."""

from __future__ import annotations

from typing import Any

from evaluator.models.architectures import ARCHITECTURES, Architecture
from evaluator.models.architectures.decoder import NORMS, PROJECTIONS, decoder_config
from evaluator.models.model_file import ModelFile

GELU = "gelu_pytorch_tanh"


def _gemma_config(file: ModelFile) -> dict[str, Any]:
    return decoder_config(file) | {"hidden_act": GELU}


ARCHITECTURES.add(
    "gemma",
    Architecture(
        model_type="gemma",
        config=_gemma_config,
        width_free=("intermediate_size",),
        tensors=NORMS | PROJECTIONS,
        restore={},
        norm_offset=1.0,
    ),
)
