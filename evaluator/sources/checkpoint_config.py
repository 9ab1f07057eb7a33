"""From a checkpoint's config.json to GGUF's metadata keys and computed tensors, as llama.cpp's converter has them.

One `Family` per `model_type`; what the families share is read once for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluator.errors import SourceError
from evaluator.export.rotary import FREQUENCY_FACTORS, LONG_FACTORS, SHORT_FACTORS
from evaluator.sources.json_file import JsonFile
from evaluator.sources.metadata_values import Typed, boolean, f32, string, u32

Values = npt.NDArray[np.float32]

_ACTIVATIONS = ("silu", "swish")
_GEMMA_ACTIVATIONS = ("gelu_pytorch_tanh", "gelu")


@dataclass(frozen=True)
class Family:
    """What GGUF makes of one `model_type`.

    Attributes:
        architecture: `general.architecture`.
        defaults: values of the configuration class that published configurations leave out.
        own_keys: keys that only this family has, without the architecture's prefix.
        activations: names of the one activation that GGUF knows for it.
        overrides: whole keys that the converter sets whatever the files say.
    """

    architecture: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    own_keys: Callable[[JsonFile], dict[str, Typed]] = lambda _: {}
    activations: tuple[str, ...] = _ACTIVATIONS
    overrides: Mapping[str, Typed] = field(default_factory=dict)


def family_of(config: JsonFile) -> tuple[Family, JsonFile]:
    """The family of a configuration, and the part of it that describes the text model, defaults filled in.

    Raises:
        SourceError: the family is not known, its activation is another, or the weights are quantized.
    """
    text = config.within("text_config") if "text_config" in config.values else config
    name = text.values.get("model_type", config.values.get("model_type"))
    if not isinstance(name, str) or name not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise SourceError(config.path, f"model_type {repr(name)[:60]} is not supported; known: {known}")
    if config.values.get("quantization_config"):
        raise SourceError(config.path, "its weights are quantized already; name the original checkpoint")
    family = FAMILIES[name]
    given = {key: value for key, value in text.values.items() if value is not None}
    completed = JsonFile(config.path, {**family.defaults, **given})
    activation = given.get("hidden_activation", given.get("hidden_act", family.activations[0]))
    if activation not in family.activations:
        raise config.error("hidden_act", activation, " or ".join(family.activations))
    return family, completed


def metadata(family: Family, config: JsonFile) -> dict[str, Typed]:
    """All keys of the architecture.

    Raises:
        SourceError: a value is missing or not what it has to be.
    """
    heads = config.count("num_attention_heads")
    base = config.number("rope_theta", 10000.0)
    keys = {
        "block_count": u32(config.count("num_hidden_layers")),
        "context_length": u32(config.count("max_position_embeddings", 2048)),
        "embedding_length": u32(config.count("hidden_size")),
        "feed_forward_length": u32(config.count("intermediate_size")),
        "attention.head_count": u32(heads),
        "attention.head_count_kv": u32(config.count("num_key_value_heads", heads)),
        "attention.layer_norm_rms_epsilon": f32(config.number("rms_norm_eps", 1e-6)),
        "rope.freq_base": f32(rotary(config).number("rope_theta", base)),
        "vocab_size": u32(config.count("vocab_size")),
    }
    if "head_dim" in config.values:
        width = u32(config.count("head_dim"))
        keys |= {"attention.key_length": width, "attention.value_length": width}
    keys |= _scaling(config) | family.own_keys(config)
    return {f"{family.architecture}.{key}": value for key, value in keys.items()}


def rotary(config: JsonFile) -> JsonFile:
    """Settings of the rotary embedding: `rope_scaling` of older files, `rope_parameters` of newer ones."""
    settings = config.within("rope_parameters")
    if not settings.values:
        settings = config.within("rope_scaling")
    return settings.within("full_attention") if "full_attention" in settings.values else settings


def computed_tensors(config: JsonFile) -> dict[str, Values]:
    """Tensors that a GGUF file has and a checkpoint writes as numbers into its configuration, float32 [n].

    Raises:
        SourceError: the numbers are missing or not numbers.
    """
    settings, kind = rotary(config), _rotary_kind(rotary(config))
    if kind == "llama3":
        return {FREQUENCY_FACTORS: _llama3_factors(config, settings)}
    if kind == "longrope":
        return {
            LONG_FACTORS: _numbers(settings, "long_factor"),
            SHORT_FACTORS: _numbers(settings, "short_factor"),
        }
    return {}


def _rotary_kind(settings: JsonFile) -> str:
    kind = settings.values.get("rope_type", settings.values.get("type", "default"))
    return "longrope" if kind == "su" else str(kind)


def _scaling(config: JsonFile) -> dict[str, Typed]:
    """Keys below `rope.scaling`."""
    settings = rotary(config)
    kind = _rotary_kind(settings)
    if kind in ("default", "llama3"):
        return {}
    if kind == "linear":
        scaling = {"type": string(kind), "factor": f32(settings.number("factor"))}
    elif kind == "yarn":
        scaling = _yarn(config, settings)
    elif kind == "longrope":
        original = config.count("original_max_position_embeddings")
        stretch = math.log(max(1.0, config.count("max_position_embeddings") / original))
        scale = math.sqrt(1 + stretch / math.log(original))
        scaling = {"original_context_length": u32(original), "attn_factor": f32(scale)}
    else:
        raise settings.error("rope_type", kind, "one of default, linear, llama3, yarn, longrope")
    return {f"rope.scaling.{key}": value for key, value in scaling.items()}


def _yarn(config: JsonFile, settings: JsonFile) -> dict[str, Typed]:
    longest = config.count("max_position_embeddings")
    scaling = {
        "type": string("yarn"),
        "factor": f32(settings.number("factor")),
        "original_context_length": u32(settings.count("original_max_position_embeddings", longest)),
    }
    for theirs, ours in {
        "attention_factor": "yarn_attn_factor",
        "beta_fast": "yarn_beta_fast",
        "beta_slow": "yarn_beta_slow",
    }.items():
        if settings.values.get(theirs) is not None:
            scaling[ours] = f32(settings.number(theirs))
    return scaling


def _llama3_factors(config: JsonFile, settings: JsonFile) -> Values:
    """Divisors per frequency: 1 for short wavelengths, `factor` for long ones, in between a blend by wavelength."""
    width = config.count("head_dim", config.count("hidden_size") // config.count("num_attention_heads"))
    base = settings.number("rope_theta", config.number("rope_theta", 10000.0))
    wavelengths = 2 * np.pi * base ** (np.arange(0, width, 2, dtype=np.float64) / width)
    factor, original = (
        settings.number("factor", 8.0),
        settings.number("original_max_position_embeddings", 8192),
    )
    low, high = settings.number("low_freq_factor", 1.0), settings.number("high_freq_factor", 4.0)
    if low >= high:
        raise settings.error("low_freq_factor", low, f"below high_freq_factor ({high})")
    kept = np.clip((original / wavelengths - low) / (high - low), 0, 1)
    return (1 / ((1 - kept) / factor + kept)).astype(np.float32)


def _numbers(settings: JsonFile, key: str) -> Values:
    values = settings.values.get(key)
    if not isinstance(values, list) or not all(isinstance(value, (int, float)) for value in values):
        raise settings.error(key, values, "a list of numbers")
    return np.asarray(values, np.float32)


def _llama_extra(config: JsonFile) -> dict[str, Typed]:
    width = config.count("head_dim", config.count("hidden_size") // config.count("num_attention_heads"))
    return {"rope.dimension_count": u32(width)}


def _phi3_extra(config: JsonFile) -> dict[str, Typed]:
    share = rotary(config).number("partial_rotary_factor", config.number("partial_rotary_factor", 1.0))
    turned = int(share * config.count("hidden_size")) // config.count("num_attention_heads")
    window = config.count("sliding_window") if config.values.get("sliding_window") else 0
    return {"rope.dimension_count": u32(turned), "attention.sliding_window": u32(window)}


def _gemma2_extra(config: JsonFile) -> dict[str, Typed]:
    return {
        "attention.sliding_window": u32(config.count("sliding_window")),
        "attn_logit_softcapping": f32(config.number("attn_logit_softcapping")),
        "final_logit_softcapping": f32(config.number("final_logit_softcapping")),
    }


def _gemma3_extra(config: JsonFile) -> dict[str, Typed]:
    keys = {"attention.sliding_window": u32(config.count("sliding_window"))}
    local = config.within("rope_parameters").within("sliding_attention")
    keys["rope.freq_base_swa"] = f32(
        local.number("rope_theta", config.number("rope_local_base_freq", 10000.0))
    )
    if "final_logit_softcapping" in config.values:
        keys["final_logit_softcapping"] = f32(config.number("final_logit_softcapping"))
    return keys


_NO_SPACE_PREFIX = {"tokenizer.ggml.add_space_prefix": boolean(False)}
_GEMMA_DEFAULTS = {"head_dim": 256, "max_position_embeddings": 8192, "tie_word_embeddings": True}
_GEMMA3_DEFAULTS = {
    "head_dim": 256,
    "max_position_embeddings": 131072,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "rope_theta": 1e6,
    "tie_word_embeddings": True,
    "vocab_size": 262208,
}
_LLAMA = Family("llama", own_keys=_llama_extra)
_GEMMA = Family("gemma", _GEMMA_DEFAULTS, activations=_GEMMA_ACTIVATIONS, overrides=_NO_SPACE_PREFIX)
_GEMMA2 = Family("gemma2", _GEMMA_DEFAULTS, _gemma2_extra, _GEMMA_ACTIVATIONS, _NO_SPACE_PREFIX)
_GEMMA3 = Family("gemma3", _GEMMA3_DEFAULTS, _gemma3_extra, _GEMMA_ACTIVATIONS, _NO_SPACE_PREFIX)

#: transformers' `model_type` → its family.
FAMILIES: Mapping[str, Family] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": Family("qwen2"),
    "qwen3": Family("qwen3"),
    "gemma": _GEMMA,
    "gemma2": _GEMMA2,
    "gemma3_text": _GEMMA3,
    "phi3": Family("phi3", own_keys=_phi3_extra),
    "smollm3": Family("smollm3", {"rope_theta": 2e6}, _llama_extra),
}
