"""Convert a checkpoint's config.json to GGUF metadata, like llama.cpp's converter.

This module reads the keys that all families share; each family's `CheckpointRules` define the others.
"""

from __future__ import annotations

from collections.abc import Callable

from evaluator.models.architectures import ARCHITECTURES, Architecture, CheckpointRules
from evaluator.models.architectures.config_json import (
    head_width,
    inexpressible,
    rotary_settings,
    turned_share,
)
from evaluator.models.checkpoint.rotary import rotary_base, rotary_kind, scaling_keys
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, f32, u32
from evaluator.models.model_file import ContextBound
from evaluator.support.errors import SourceError


def family_of(config: JsonFile) -> tuple[Architecture, CheckpointRules, JsonFile]:
    """Return the family of a configuration, and the part that describes the text model, with defaults filled in.

    Raises:
        SourceError: the family is not known, or GGUF cannot express a setting.
    """
    text = config.within("text_config") if "text_config" in config.values else config
    outer = {key: value for key, value in config.values.items() if key == "tie_word_embeddings"}
    given = JsonFile(config.path, {**outer, **text.values})
    architecture, rules = _named(given, text.values.get("model_type", config.values.get("model_type")))
    completed = _completed(given, rules)
    key, activations = rules.activation
    activation = completed.values.get(key)
    if activation is not None and activation not in activations:
        raise config.error(key, activation, " or ".join(activations))
    for key, meant in rules.fixed.items():
        value = completed.values.get(key)
        if value is not None and value != meant:
            raise inexpressible(config, architecture.name, key, value, meant)
    share = turned_share(completed)
    if "partial_rotary_factor" in rules.fixed and share != 1:
        raise inexpressible(config, architecture.name, "partial_rotary_factor", share, 1.0)
    return architecture, rules, completed


def _completed(config: JsonFile, rules: CheckpointRules) -> JsonFile:
    return JsonFile(config.path, {**rules.defaults, **config.values})


def _named(config: JsonFile, model_type: object) -> tuple[Architecture, CheckpointRules]:
    """Return the family of a `model_type`, which may depend on further keys.

    Raises:
        SourceError: it is not known; the message lists the known ones.
    """
    families = [
        (known, architecture, rules)
        for _, architecture in ARCHITECTURES
        for known, rules in architecture.checkpoints.items()
    ]
    for known, architecture, rules in families:
        if known == model_type and rules.applies(_completed(config, rules)):
            return architecture, rules
    names = ", ".join(sorted({known for known, *_ in families}))
    raise SourceError(config.path, f"model_type {repr(model_type)[:60]} is not supported; known: {names}")


def metadata(architecture: Architecture, rules: CheckpointRules, config: JsonFile) -> dict[str, Typed]:
    """Return all metadata keys of the architecture.

    Raises:
        SourceError: a value is missing or invalid.
    """
    heads = config.count("num_attention_heads")
    usual: dict[str, Callable[[], Typed]] = {
        "block_count": lambda: u32(config.count("num_hidden_layers")),
        "context_length": lambda: u32(config.count("max_position_embeddings")),
        "embedding_length": lambda: u32(config.count("hidden_size")),
        "feed_forward_length": lambda: u32(config.count("intermediate_size")),
        "attention.head_count": lambda: u32(heads),
        "attention.head_count_kv": lambda: u32(config.count("num_key_value_heads", heads)),
        "attention.layer_norm_rms_epsilon": lambda: f32(config.number("rms_norm_eps")),
        "rope.freq_base": lambda: f32(rotary_base(config)),
        "vocab_size": lambda: u32(config.count("vocab_size")),
    }
    own = rules.own_keys(config)
    keys = {key: value() for key, value in usual.items() if key not in rules.absent and key not in own}
    if config.values.get("head_dim") is not None:
        width = u32(head_width(config))
        keys |= {"attention.key_length": width, "attention.value_length": width}
    keys |= {f"rope.scaling.{key}": value for key, value in scaling_keys(config).items()} | own
    return {f"{architecture.file_architecture}.{key}": value for key, value in keys.items()}


def context_bound(rules: CheckpointRules, config: JsonFile) -> ContextBound | None:
    """Return the window length up to which GGUF matches the configuration; None without a limit.

    Raises:
        SourceError: a value is invalid.
    """
    bounds = []
    if (window := rules.window(config)) is not None:
        bounds.append(ContextBound(window, f"sliding_window {window}"))
    alpha = rules.alpha_for_all and rotary_settings(config).values.get("alpha")
    if rotary_kind(config) == "dynamic" and not alpha:
        longest = config.count("max_position_embeddings")
        bounds.append(ContextBound(longest, "dynamic rope_scaling"))
    return min(bounds, key=lambda bound: bound.tokens, default=None)


def tied(config: JsonFile) -> bool:
    """Return whether the embedding is also the output matrix.

    Raises:
        SourceError: the setting is neither true nor false.
    """
    value = config.values.get("tie_word_embeddings")
    if value is not None and not isinstance(value, bool):
        raise config.error("tie_word_embeddings", value, "true or false")
    return bool(value)
