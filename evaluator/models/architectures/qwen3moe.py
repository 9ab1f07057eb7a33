"""Qwen3 with experts: Qwen3's attention, and a softmax router whose chosen scores are divided by their sum."""

from __future__ import annotations

from typing import Any

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.decoder import NORMS, PROJECTIONS, QUERY_KEY_NORMS, decoder_config
from evaluator.models.architectures.mixture import Mixture, expert_width, read_mixture
from evaluator.models.model_file import ModelFile


def _config(file: ModelFile) -> dict[str, Any]:
    return decoder_config(file, inner=expert_width(file))


def _mixture(file: ModelFile) -> Mixture:
    return read_mixture(file, gating="softmax", renormalized=True, width=expert_width(file))


register(
    Architecture(
        name="qwen3moe",
        model_type="qwen3",
        config=_config,
        tensors=NORMS | PROJECTIONS | QUERY_KEY_NORMS,
        checkpoints={},
        mixture=_mixture,
    )
)
