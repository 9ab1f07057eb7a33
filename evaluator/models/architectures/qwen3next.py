"""Qwen3-Next: Qwen 3.5's layers with a mixture, and one product for the rates and decays of DeltaNet."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.qwen35 import describe_hybrid, experts_beside_shared
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    return describe_hybrid(file, *experts_beside_shared(settings), settings=settings, joint_beta=True)


register(Architecture("qwen3next", describe=_describe))
