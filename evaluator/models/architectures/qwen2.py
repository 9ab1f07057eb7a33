"""Qwen2 and Qwen2.5: a Llama-like decoder with biases on query, key and value, rows not rearranged."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.config_json import COMMON, FULL, WHOLE_HEADS, WINDOWED, layer_types
from evaluator.models.architectures.decoder import NORMS, PROJECTIONS, biases, decoder_config
from evaluator.models.json_file import JsonFile

QWEN2_DEFAULTS = {
    **COMMON,
    "max_position_embeddings": 32768,
    "num_key_value_heads": 32,
    "use_sliding_window": False,
    "sliding_window": 4096,
    "max_window_layers": 28,
    "layer_types": None,
}


def qwen_window(config: JsonFile) -> int | None:
    """Return the sliding window, which applies from layer `max_window_layers` on; None if it is not used."""
    types = layer_types(config)
    if not config.values.get("use_sliding_window") or config.values.get("sliding_window") is None:
        if types and WINDOWED in types:
            raise config.error("layer_types", types, f"{FULL} throughout: no sliding window is in use")
        return None
    return layers_window(config)


def layers_window(config: JsonFile) -> int | None:
    """Return the sliding window of the layers that have one, by the list of them; None without such layers."""
    types = layer_types(config)
    if config.values.get("sliding_window") is None:
        return None
    full = _whole(config, "max_window_layers")
    windowed = WINDOWED in types if types else full < config.count("num_hidden_layers")
    return config.count("sliding_window") if windowed else None


def _whole(config: JsonFile, key: str) -> int:
    value = config.values.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise config.error(key, value, "a whole number")
    return value


register(
    Architecture(
        name="qwen2",
        model_type="qwen2",
        config=decoder_config,
        tensors=NORMS | PROJECTIONS | biases("attn_q", "attn_k", "attn_v"),
        checkpoints={"qwen2": CheckpointRules(QWEN2_DEFAULTS, WHOLE_HEADS, window=qwen_window)},
    )
)
