"""SmolLM3: a Llama without rotary embedding in every fourth layer, which GGUF files do not state."""

from __future__ import annotations

from typing import Any

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.config_json import (
    COMMON,
    FULL,
    NO_BIASES,
    WINDOWED,
    full_rotary_key,
    inexpressible,
    layer_types,
)
from evaluator.models.architectures.decoder import NORMS, PROJECTIONS, decoder_config
from evaluator.models.architectures.llama import RESTORE_QUERY_KEY
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed
from evaluator.models.model_file import ModelFile

_NO_ROPE_INTERVAL = 4
_DEFAULTS = {
    **COMMON,
    "rope_theta": 2e6,
    "tie_word_embeddings": True,
    "max_position_embeddings": 32768,
    "num_key_value_heads": 4,
    "use_sliding_window": False,
    "sliding_window": None,
    "no_rope_layers": None,
    "no_rope_layer_interval": _NO_ROPE_INTERVAL,
    "layer_types": None,
}


def _smollm3_config(file: ModelFile) -> dict[str, Any]:
    settings = decoder_config(file)
    rotated = [int((layer + 1) % _NO_ROPE_INTERVAL != 0) for layer in range(settings["num_hidden_layers"])]
    return settings | {"no_rope_layers": rotated}  # despite the name, 1 means a layer with rotary embedding


def _own_keys(config: JsonFile) -> dict[str, Typed]:
    interval = config.count("no_rope_layer_interval")
    if interval != _NO_ROPE_INTERVAL and config.values.get("no_rope_layers") is None:
        raise inexpressible(config, "smollm3", "no_rope_layer_interval", interval, _NO_ROPE_INTERVAL)
    return full_rotary_key(config)


def _window(config: JsonFile) -> int | None:
    """Return the sliding window of the layers without rotary embedding; None if it is not used."""
    used = config.values.get("use_sliding_window") and config.values.get("sliding_window") is not None
    types = layer_types(config)
    if types and WINDOWED in types and not used:
        raise config.error("layer_types", types, f"{FULL} throughout: no sliding window is in use")
    return config.count("sliding_window") if used else None


register(
    Architecture(
        name="smollm3",
        model_type="smollm3",
        config=_smollm3_config,
        tensors=NORMS | PROJECTIONS,
        checkpoints={
            "smollm3": CheckpointRules(_DEFAULTS, {**NO_BIASES, "mlp_bias": False}, _own_keys, window=_window)
        },
        restore=RESTORE_QUERY_KEY,
    )
)
