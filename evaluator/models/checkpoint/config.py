"""From a checkpoint's config.json to GGUF's metadata keys, as llama.cpp's converter has them.

What the families share is read once for all; `checkpoint_families` says what each adds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evaluator.models.checkpoint.json_file import JsonFile
from evaluator.models.checkpoint.metadata_values import Typed, f32, u32
from evaluator.models.checkpoint.rotary import (
    head_width,
    rotary_base,
    rotary_kind,
    scaling_keys,
    turned_share,
)
from evaluator.models.model_file import ContextBound
from evaluator.support.errors import SourceError

#: Where quantized checkpoints say how they were quantized.
_QUANTIZED = ("quantization_config", "compression_config")


@dataclass(frozen=True)
class Family:
    """What GGUF makes of one `model_type`.

    Attributes:
        architecture: `general.architecture`.
        defaults: the keys that are honoured beyond the sizes, with the values that transformers' class gives
            them where a configuration leaves them out.
        fixed: the keys that GGUF has no words for, with the values that its files mean.
        own_keys: metadata that only this family has, without the architecture's prefix.
        activation: the key that transformers reads the activation from, and names of the one that GGUF means.
        window: the sliding window that transformers applies and a GGUF file of the family leaves out.
        overrides: whole metadata keys that the converter sets whatever the files say.
    """

    architecture: str
    defaults: Mapping[str, Any]
    fixed: Mapping[str, Any]
    own_keys: Callable[[JsonFile], dict[str, Typed]] = lambda _: {}
    activation: tuple[str, tuple[str, ...]] = ("hidden_act", ("silu", "swish"))
    window: Callable[[JsonFile], int | None] = lambda _: None
    overrides: Mapping[str, Typed] = field(default_factory=dict)


def family_of(config: JsonFile, families: Mapping[str, Family]) -> tuple[Family, JsonFile]:
    """The family of a configuration, and the part of it that describes the text model, defaults filled in.

    Raises:
        SourceError: the family is not known, asks for what GGUF cannot say, or the weights are quantized.
    """
    text = config.within("text_config") if "text_config" in config.values else config
    name = text.values.get("model_type", config.values.get("model_type"))
    if not isinstance(name, str) or name not in families:
        known = ", ".join(sorted(families))
        raise SourceError(config.path, f"model_type {repr(name)[:60]} is not supported; known: {known}")
    if any(part.values.get(key) for part in (config, text) for key in _QUANTIZED):
        raise SourceError(config.path, "its weights are quantized already; name the original checkpoint")
    family = families[name]
    completed = JsonFile(config.path, {**family.defaults, **text.values})
    key, activations = family.activation
    activation = completed.values.get(key)
    if activation is not None and activation not in activations:
        raise config.error(key, activation, " or ".join(activations))
    for key, meant in family.fixed.items():
        given = completed.values.get(key)
        if given is not None and given != meant:
            raise inexpressible(config, family.architecture, key, given, meant)
    share = turned_share(completed)
    if "partial_rotary_factor" in family.fixed and share != 1:
        raise inexpressible(config, family.architecture, "partial_rotary_factor", share, 1.0)
    return family, completed


def inexpressible(config: JsonFile, architecture: str, key: str, given: Any, meant: Any) -> SourceError:
    """What to raise for a setting that a GGUF file cannot carry."""
    return SourceError(
        config.path, f"{key} is {repr(given)[:60]}; a {architecture} GGUF file means {repr(meant)[:60]}"
    )


def metadata(family: Family, config: JsonFile) -> dict[str, Typed]:
    """All keys of the architecture.

    Raises:
        SourceError: a value is missing or not what it has to be.
    """
    heads = config.count("num_attention_heads")
    keys = {
        "block_count": u32(config.count("num_hidden_layers")),
        "context_length": u32(config.count("max_position_embeddings")),
        "embedding_length": u32(config.count("hidden_size")),
        "feed_forward_length": u32(config.count("intermediate_size")),
        "attention.head_count": u32(heads),
        "attention.head_count_kv": u32(config.count("num_key_value_heads", heads)),
        "attention.layer_norm_rms_epsilon": f32(config.number("rms_norm_eps")),
        "rope.freq_base": f32(rotary_base(config)),
        "vocab_size": u32(config.count("vocab_size")),
    }
    if config.values.get("head_dim") is not None:
        width = u32(head_width(config))
        keys |= {"attention.key_length": width, "attention.value_length": width}
    keys |= {f"rope.scaling.{key}": value for key, value in scaling_keys(config).items()}
    keys |= family.own_keys(config)
    return {f"{family.architecture}.{key}": value for key, value in keys.items()}


def context_bound(family: Family, config: JsonFile) -> ContextBound | None:
    """Up to how many tokens a GGUF file of the model computes what its configuration says, None without a bound.

    Raises:
        SourceError: a value is not what it has to be.
    """
    bounds = []
    if (window := family.window(config)) is not None:
        bounds.append(ContextBound(window, f"sliding_window {window}"))
    if rotary_kind(config) == "dynamic":
        longest = config.count("max_position_embeddings")
        bounds.append(ContextBound(longest, "dynamic rope_scaling"))
    return min(bounds, key=lambda bound: bound.tokens, default=None)


def tied(config: JsonFile) -> bool:
    """Whether the embedding is the output matrix too.

    Raises:
        SourceError: the configuration says neither yes nor no.
    """
    value = config.values.get("tie_word_embeddings")
    if value is not None and not isinstance(value, bool):
        raise config.error("tie_word_embeddings", value, "true or false")
    return bool(value)
