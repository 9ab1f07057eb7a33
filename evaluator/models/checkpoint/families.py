"""The families of checkpoints: what transformers' class of each assumes, and what GGUF can say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluator.models.checkpoint.config import Family, inexpressible
from evaluator.models.checkpoint.json_file import JsonFile
from evaluator.models.checkpoint.metadata_values import Typed, boolean, booleans, f32, u32
from evaluator.models.checkpoint.rotary import head_width, turned_share

WINDOWED, FULL = "sliding_attention", "full_attention"
#: Every how-manyeth layer is not windowed, where nothing says otherwise.
_GEMMA2_PERIOD, _GEMMA3_PERIOD = 2, 6


def _llama_keys(config: JsonFile) -> dict[str, Typed]:
    return {"rope.dimension_count": u32(head_width(config))}


def _smollm3_keys(config: JsonFile) -> dict[str, Typed]:
    interval, usual = config.count("no_rope_layer_interval"), _SMOLLM3["no_rope_layer_interval"]
    if interval != usual and config.values.get("no_rope_layers") is None:
        raise inexpressible(config, "smollm3", "no_rope_layer_interval", interval, usual)
    return _llama_keys(config)


def _phi3_keys(config: JsonFile) -> dict[str, Typed]:
    turned = int(head_width(config) * turned_share(config))
    window = config.count("sliding_window") if config.values.get("sliding_window") is not None else 0
    return {"rope.dimension_count": u32(turned), "attention.sliding_window": u32(window)}


def _gemma2_keys(config: JsonFile) -> dict[str, Typed]:
    return {
        **_window_keys(config, _GEMMA2_PERIOD, _GEMMA2_PERIOD),
        "attn_logit_softcapping": f32(config.number("attn_logit_softcapping")),
        "final_logit_softcapping": f32(config.number("final_logit_softcapping")),
    }


def _gemma3_keys(config: JsonFile) -> dict[str, Typed]:
    local = config.within("rope_parameters").within("sliding_attention")
    base = local.number("rope_theta", config.number("rope_local_base_freq"))
    period = config.count("sliding_window_pattern", _GEMMA3_PERIOD)
    keys = {**_window_keys(config, period, _GEMMA3_PERIOD), "rope.freq_base_swa": f32(base)}
    if config.values.get("final_logit_softcapping") is not None:
        keys["final_logit_softcapping"] = f32(config.number("final_logit_softcapping"))
    return keys


def _window_keys(config: JsonFile, period: int, usual_period: int) -> dict[str, Typed]:
    """The window, and which layers have it where that is not what files of the family mean anyway."""
    keys = {"attention.sliding_window": u32(config.count("sliding_window"))}
    layers = config.count("num_hidden_layers")
    types = layer_types(config) or _periodic(layers, period)
    if types != _periodic(layers, usual_period):
        keys["attention.sliding_window_pattern"] = booleans([kind == WINDOWED for kind in types])
    return keys


def _periodic(layers: int, period: int) -> list[str]:
    return [WINDOWED if (layer + 1) % period else FULL for layer in range(layers)]


def layer_types(config: JsonFile) -> list[str] | None:
    """Which kind of attention each layer has, None where the configuration does not list them.

    Raises:
        SourceError: the list is of another length than the model, or a kind is not known.
    """
    types = config.items("layer_types")
    if not types:
        return None
    layers = config.count("num_hidden_layers")
    if len(types) != layers:
        raise config.error("layer_types", types, f"a list of {layers}")
    for kind in types:
        if kind not in (WINDOWED, FULL):
            raise config.error("a layer's type", kind, f"{WINDOWED} or {FULL}")
    return types


def _mistral_window(config: JsonFile) -> int | None:
    return config.count("sliding_window") if config.values.get("sliding_window") is not None else None


def _qwen_window(config: JsonFile) -> int | None:
    """The window of the layers from `max_window_layers` on, where it is in use at all."""
    types, window = layer_types(config), config.values.get("sliding_window")
    if not config.values.get("use_sliding_window") or window is None:
        if types and WINDOWED in types:
            raise config.error("layer_types", types, f"{FULL} throughout: no sliding window is in use")
        return None
    full = _whole(config, "max_window_layers")
    windowed = WINDOWED in types if types else full < config.count("num_hidden_layers")
    return config.count("sliding_window") if windowed else None


def _smollm3_window(config: JsonFile) -> int | None:
    """The window of the layers without rotary embedding, where it is in use at all."""
    used = config.values.get("use_sliding_window") and config.values.get("sliding_window") is not None
    types = layer_types(config)
    if types and WINDOWED in types and not used:
        raise config.error("layer_types", types, f"{FULL} throughout: no sliding window is in use")
    return config.count("sliding_window") if used else None


def _whole(config: JsonFile, key: str) -> int:
    value = config.values.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise config.error(key, value, "a whole number")
    return value


#: Nowhere in GGUF, nor in the attention that it means: every token sees those before it, all heads stay.
_FIXED: Mapping[str, Any] = {"is_causal": True, "add_cross_attention": False, "pruned_heads": {}}
_WHOLE_HEADS: Mapping[str, Any] = {**_FIXED, "partial_rotary_factor": 1.0}
_NO_BIASES: Mapping[str, Any] = {**_WHOLE_HEADS, "attention_bias": False}
_NO_SPACE_PREFIX = {"tokenizer.ggml.add_space_prefix": boolean(False)}
_TANH = ("gelu_pytorch_tanh",)

_EVERY: Mapping[str, Any] = {"rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": False}
_LLAMA = {
    **_EVERY,
    "max_position_embeddings": 2048,
    "num_key_value_heads": None,
    "attention_bias": False,
    "mlp_bias": False,
}
_MISTRAL = {
    **_EVERY,
    "max_position_embeddings": 131072,
    "num_key_value_heads": 8,
    "sliding_window": 4096,
}
_QWEN2 = {
    **_EVERY,
    "max_position_embeddings": 32768,
    "num_key_value_heads": 32,
    "use_sliding_window": False,
    "sliding_window": 4096,
    "max_window_layers": 28,
    "layer_types": None,
}
_SMOLLM3 = {
    **_EVERY,
    "rope_theta": 2e6,
    "tie_word_embeddings": True,
    "max_position_embeddings": 32768,
    "num_key_value_heads": 4,
    "use_sliding_window": False,
    "sliding_window": None,
    "no_rope_layers": None,
    "no_rope_layer_interval": 4,
    "layer_types": None,
}
_PHI3 = {
    **_EVERY,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 4096,
    "original_max_position_embeddings": 4096,
    "num_key_value_heads": None,
    "partial_rotary_factor": 1.0,
    "sliding_window": None,
}
_GEMMA = {
    **_EVERY,
    "tie_word_embeddings": True,
    "head_dim": 256,
    "max_position_embeddings": 8192,
    "num_key_value_heads": 16,
    "hidden_act": "gelu_pytorch_tanh",
}
_GEMMA2 = {
    **_EVERY,
    "tie_word_embeddings": True,
    "head_dim": 256,
    "max_position_embeddings": 8192,
    "num_key_value_heads": 4,
    "hidden_activation": "gelu_pytorch_tanh",
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "layer_types": None,
    "final_logit_softcapping": 30.0,
    "attn_logit_softcapping": 50.0,
}
_GEMMA3 = {
    **{key: value for key, value in _GEMMA2.items() if key != "attn_logit_softcapping"},
    "max_position_embeddings": 131072,
    "num_attention_heads": 8,
    "rope_theta": 1e6,
    "rope_local_base_freq": 10000.0,
    "vocab_size": 262208,
    "final_logit_softcapping": None,
    "sliding_window_pattern": _GEMMA3_PERIOD,
}

#: transformers' `model_type` → its family.
FAMILIES: Mapping[str, Family] = {
    "llama": Family("llama", _LLAMA, _WHOLE_HEADS, _llama_keys),
    "mistral": Family("llama", _MISTRAL, _NO_BIASES, _llama_keys, window=_mistral_window),
    "qwen2": Family("qwen2", _QWEN2, _WHOLE_HEADS, window=_qwen_window),
    "qwen3": Family("qwen3", {**_QWEN2, "head_dim": 128}, _NO_BIASES, window=_qwen_window),
    "smollm3": Family(
        "smollm3", _SMOLLM3, {**_NO_BIASES, "mlp_bias": False}, _smollm3_keys, window=_smollm3_window
    ),
    "phi3": Family("phi3", _PHI3, _FIXED, _phi3_keys),
    "gemma": Family(
        "gemma", _GEMMA, _NO_BIASES, activation=("hidden_act", _TANH), overrides=_NO_SPACE_PREFIX
    ),
    "gemma2": Family(
        "gemma2", _GEMMA2, _NO_BIASES, _gemma2_keys, ("hidden_activation", _TANH), overrides=_NO_SPACE_PREFIX
    ),
    "gemma3_text": Family(
        "gemma3",
        _GEMMA3,
        {**_NO_BIASES, "attn_logit_softcapping": None, "use_bidirectional_attention": False},
        _gemma3_keys,
        ("hidden_activation", _TANH),
        overrides=_NO_SPACE_PREFIX,
    ),
}
