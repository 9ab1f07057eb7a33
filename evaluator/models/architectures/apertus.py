"""Apertus: norms of heads, and an activation with trained parameters, which are metadata."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of
from evaluator.models.architectures.mixers import FeedForward, Xielu
from evaluator.models.architectures.parts import attention, pre_norm_layer
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError


def _softplus(number: float) -> float:
    """Return ln(1 + exp x) without overflow."""
    return max(number, 0.0) + math.log1p(math.exp(-abs(number)))


def _activations(settings: Settings) -> list[Xielu]:
    """Return the activation of each layer.

    Raises:
        SourceError: a parameter is missing or not a number.
    """
    columns = [_numbers(settings, f"xielu.{name}") for name in ("alpha_n", "alpha_p", "beta", "eps")]
    return [
        Xielu(b + _softplus(n), _softplus(p), b, epsilon) for n, p, b, epsilon in zip(*columns, strict=True)
    ]


def _numbers(settings: Settings, key: str) -> list[float]:
    """Return a number for each layer; the key does not begin with the architecture."""
    given: Any = settings.file.metadata.get(key)
    values = np.asarray([given] * settings.layers if isinstance(given, float) else given)
    fits = values.ndim == 1 and len(values) >= settings.layers and values.dtype.kind in "fiu"
    if not fits or not np.isfinite(values).all():
        raise SourceError(settings.file.path, f"metadata key {key} does not hold {settings.layers} numbers")
    return [float(value) for value in values[: settings.layers]]


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings, norm="head")
    layers = [
        pre_norm_layer(attends, FeedForward(activation=activation, gated=False))
        for activation in _activations(settings)
    ]
    return decoder_of(settings, layers, settings.rotary(attends.width, factors=FREQUENCY_FACTORS))


register(Architecture("apertus", describe=_describe))
