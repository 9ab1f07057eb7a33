"""Apertus: norms of heads, and an activation with trained parameters, which are metadata."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.config_json import COMMON, NO_BIASES, full_rotary_key
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of
from evaluator.models.architectures.mixers import FeedForward, Xielu
from evaluator.models.architectures.parts import attention, pre_norm_layer
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError

_DEFAULTS: Mapping[str, Any] = {
    **COMMON,
    "rms_norm_eps": 1e-5,
    "rope_theta": 12000000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "original_max_position_embeddings": 8192,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
    },
    "max_position_embeddings": 65536,
    "num_key_value_heads": None,
    "attention_bias": False,
}
_PARAMETERS = ("alpha_n", "alpha_p", "beta", "eps")
_RULES = CheckpointRules(
    _DEFAULTS,
    NO_BIASES,
    full_rotary_key,
    activation=("hidden_act", ("xielu",)),
    listed={f"model.layers.{{}}.mlp.act_fn.{name}": f"xielu.{name}" for name in _PARAMETERS},
)


def _softplus(number: float) -> float:
    """Return ln(1 + exp x) without overflow."""
    return max(number, 0.0) + math.log1p(math.exp(-abs(number)))


def _activations(settings: Settings) -> list[Xielu]:
    """Return the activation of each layer.

    Raises:
        SourceError: a parameter is missing or not a number.
    """
    columns = [_numbers(settings, f"xielu.{name}") for name in _PARAMETERS]
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


register(Architecture("apertus", checkpoints={"apertus": _RULES}, describe=_describe))
