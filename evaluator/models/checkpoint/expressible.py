"""Check that GGUF's metadata describe the same model as a checkpoint's configuration."""

from __future__ import annotations

import math
import re
from typing import Any

from evaluator.models.architectures import Architecture, name_pattern
from evaluator.models.architectures.config_json import inexpressible
from evaluator.models.json_file import JsonFile
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError

#: Settings of a graph that metadata can express with any value, or that have no effect.
_EXPRESSED = (
    "model_type",
    "attn_implementation",
    "rope_theta",
    "rope_local_base_freq",
    "partial_rotary_factor",
)
#: Setting → names of the biases that it stands for.
_BIASED = {
    "attention_bias": re.compile(r"blk\.\d+\.attn_(q|k|v|qkv|output)\.bias"),
    "mlp_bias": re.compile(r"blk\.\d+\.ffn_(gate|up|down)\.bias"),
    "use_bias": re.compile(r"blk\.\d+\.(attn|ffn)_(q|k|v|qkv|output|gate|up|down)\.bias"),
}


def check_expressible(checkpoint: ModelFile, architecture: Architecture, config: JsonFile) -> None:
    """Check that the GGUF metadata describe the same model as the configuration.

    GGUF cannot express some settings, which llama.cpp fixes per family; with other values the GGUF file would be
    another model.

    Raises:
        SourceError: a setting has another value, or a tensor needs one that is not set.
    """
    for key, value in architecture.config(checkpoint).items():
        given = config.values.get(key)
        if given is not None and key not in _EXPRESSED and not _agree(given, value):
            raise inexpressible(config, architecture.name, key, given, value)
    if architecture.describe:
        _check_biases(checkpoint, config)
    for name in checkpoint.tensors:
        if missing := lacking_setting(architecture, config, name):
            raise SourceError(config.path, f"{missing} is not true, and its weights hold {name}")


def _check_biases(checkpoint: ModelFile, config: JsonFile) -> None:
    """Check that there are biases where a setting is true, and none where it is false."""
    for key, pattern in _BIASED.items():
        given = config.values.get(key)
        held = next(filter(pattern.fullmatch, checkpoint.tensors), None)
        if given is False and held:
            raise SourceError(config.path, f"{key} is not true, and its weights hold {held}")
        if given is True and not held:
            raise SourceError(config.path, f"{key} is true, and its weights hold no such biases")


def lacking_setting(architecture: Architecture, config: JsonFile, name: str) -> str | None:
    """Return the setting that an optional tensor needs, if it is not true."""
    key = "mlp_bias" if ".ffn_" in name else "attention_bias"
    return key if name_pattern(name) in architecture.optional and not config.values.get(key) else None


def _agree(given: Any, value: Any) -> bool:
    if isinstance(given, (int, float)) and isinstance(value, (int, float)):
        return math.isclose(given, value, rel_tol=1e-6)
    return bool(given == value)
