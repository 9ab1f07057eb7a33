"""Convert a checkpoint's rotary settings to GGUF's keys and frequency factors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluator.models.architectures.config_json import (
    full_head_width,
    head_width,
    rotary_settings,
    turned_share,
)
from evaluator.models.architectures.rotary import LONG_FACTORS, SHORT_FACTORS
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.yarn import yarn_kept, yarn_scale
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, f32, string, u32

Values = npt.NDArray[np.float32]

#: Kinds without GGUF keys, because they do not change the frequencies within the model's original context.
_UNSCALED = ("default", "dynamic")
#: The first frequencies of a whole head, and none for the other dimensions.
_PROPORTIONAL = "proportional"
#: Divisor that leaves nothing of a frequency.
_STILL = 1e30
#: Architectures whose files llama.cpp reads with divisors of frequencies.
_WITH_FACTORS = frozenset(
    (
        *("apertus", "arcee", "exaone4", "falcon-h1", "gemma4", "granite", "granitehybrid", "granitemoe"),
        *("llama", "llama4", "mistral3"),
    )
)
_KINDS = (*_UNSCALED, _PROPORTIONAL, "linear", "llama3", "yarn", "longrope")


def rotary_kind(config: JsonFile) -> str:
    """Return the kind of scaling, by its current name.

    Raises:
        SourceError: it is not known, or the settings name two kinds.
    """
    settings = rotary_settings(config)
    named = [settings.values[key] for key in ("rope_type", "type") if settings.values.get(key) is not None]
    kinds = {_current_name(kind, settings) for kind in map(str, named)}
    if len(kinds) > 1:
        raise settings.error("rope_type", named[0], f"its type, {named[1]!r}")
    kind = kinds.pop() if kinds else "default"
    if kind not in _KINDS:
        raise settings.error("rope_type", kind, f"one of {', '.join(_KINDS)}")
    return kind


def rotary_base(config: JsonFile) -> float:
    """Return the base of the frequencies."""
    return rotary_settings(config).number("rope_theta", config.number("rope_theta", 10000.0))


def scaling_keys(config: JsonFile) -> dict[str, Typed]:
    """Return the keys below `rope.scaling`, without that prefix.

    Raises:
        SourceError: the kind is not known, or a setting is missing or invalid.
    """
    settings, kind = rotary_settings(config), rotary_kind(config)
    if kind == "linear":
        return {"type": string(kind), "factor": f32(settings.number("factor"))}
    if kind == "yarn":
        return _yarn(config, settings)
    if kind == "longrope":
        return _longrope(config, settings)
    return {}


def rounded_scaling_keys(architecture: str, config: JsonFile) -> dict[str, Typed]:
    """Return the keys of YaRN with rounded bounds, if the configuration's are not and llama.cpp rounds them.

    They are those below `rope.scaling`, without that prefix.

    Args:
        architecture: `general.architecture`.
        config: the configuration.

    Raises:
        SourceError: a setting is missing or invalid.
    """
    settings = rotary_settings(config)
    if rotary_kind(config) != "yarn" or _truncates(settings) or architecture in _WITH_FACTORS:
        return {}
    return _rounded_yarn(config, settings)


def frequency_factors(config: JsonFile) -> dict[str, Values]:
    """Return the divisors of the frequencies, GGUF tensor → float32 [rotated dimensions / 2].

    Raises:
        SourceError: the settings are missing or not numbers.
    """
    settings, kind = rotary_settings(config), rotary_kind(config)
    if kind == "llama3":
        return {FREQUENCY_FACTORS: _llama3_factors(config, settings)}
    if kind == "yarn" and not _truncates(settings):
        kept = _kept(config, settings)
        return {FREQUENCY_FACTORS: (1 / (kept + (1 - kept) / settings.number("factor"))).astype(np.float32)}
    if kind == _PROPORTIONAL:
        pairs = full_head_width(config) // 2
        turned = int(2 * pairs * turned_share(config) / 2)
        factors = np.where(np.arange(pairs) < turned, 1.0, _STILL)
        return {FREQUENCY_FACTORS: factors.astype(np.float32)}
    if kind == "longrope":
        return {
            LONG_FACTORS: _numbers(settings, "long_factor"),
            SHORT_FACTORS: _numbers(settings, "short_factor"),
        }
    return {}


def _current_name(kind: str, settings: JsonFile) -> str:
    """Return the current name of a kind: older files call LongRoPE "su", or "yarn" with factors per frequency."""
    former = kind == "su" or (kind == "yarn" and "short_factor" in settings.values)
    return "longrope" if former else kind


def _yarn(config: JsonFile, settings: JsonFile) -> dict[str, Typed]:
    if _truncates(settings):
        return _rounded_yarn(config, settings)
    # GGUF has no key for that: the frequency factors contain the scaling.
    factor = settings.number("factor")
    return {
        "type": string("none"),
        "attn_factor": f32(_attention_factor(settings, factor) or yarn_scale(factor)),
    }


def _rounded_yarn(config: JsonFile, settings: JsonFile) -> dict[str, Typed]:
    factor = settings.number("factor")
    scale = _attention_factor(settings, factor)
    keys = {
        "type": string("yarn"),
        "factor": f32(factor),
        "original_context_length": u32(_yarn_context(config, settings)),
    }
    if scale is not None:  # llama.cpp reads attn_factor for all families, yarn_attn_factor only for a few
        keys["attn_factor"] = f32(scale / yarn_scale(factor))
    for key in ("beta_fast", "beta_slow"):
        if settings.values.get(key) is not None:
            keys[f"yarn_{key}"] = f32(settings.number(key))
    return keys


def _attention_factor(settings: JsonFile, factor: float) -> float | None:
    """Return the factor of sine and cosine, None for YaRN's default."""
    if settings.values.get("attention_factor") is not None:
        return settings.number("attention_factor")
    if settings.values.get("mscale") and settings.values.get("mscale_all_dim"):
        all_dimensions = settings.number("mscale_all_dim")
        return yarn_scale(factor, settings.number("mscale")) / yarn_scale(factor, all_dimensions)
    return None


def _truncates(settings: JsonFile) -> bool:
    """Return whether YaRN's two bounds are rounded to whole indices."""
    value = settings.values.get("truncate", True)
    if not isinstance(value, bool):
        raise settings.error("truncate", value, "true or false")
    return value


def _yarn_context(config: JsonFile, settings: JsonFile) -> int:
    return settings.count("original_max_position_embeddings", config.count("max_position_embeddings"))


def _kept(config: JsonFile, settings: JsonFile) -> npt.NDArray[np.float64]:
    base = rotary_base(config)
    if base <= 1:
        raise config.error("rope_theta", base, "above 1, which YaRN needs")
    fast, slow = settings.number("beta_fast", 32.0), settings.number("beta_slow", 1.0)
    turned = int(head_width(config) * turned_share(config))
    return yarn_kept(turned, base, _yarn_context(config, settings), (fast, slow), truncate=False)


def _longrope(config: JsonFile, settings: JsonFile) -> dict[str, Typed]:
    longest = config.count("max_position_embeddings")
    key = "original_max_position_embeddings"
    stated: Any = config.values.get(key) or settings.values.get(key)
    original = JsonFile(config.path, {key: stated}).count(key, longest)
    stretch = longest / original if stated else settings.number("factor")
    usual = math.sqrt(1 + math.log(stretch) / math.log(original)) if stretch > 1 else 1.0
    scale = settings.number("attention_factor", usual)
    return {"original_context_length": u32(original), "attn_factor": f32(scale)}


def _llama3_factors(config: JsonFile, settings: JsonFile) -> Values:
    """Return divisors per frequency: 1 for short wavelengths, `factor` for long ones, interpolated in between."""
    width = int(head_width(config) * turned_share(config))
    wavelengths = 2 * np.pi * rotary_base(config) ** (np.arange(0, width, 2, dtype=np.float64) / width)
    factor = settings.number("factor", 8.0)
    original = settings.number("original_max_position_embeddings", 8192)
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
