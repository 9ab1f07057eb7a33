"""Build GGUF metadata values, with the types that they have in a GGUF file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gguf import GGUFValueType

from evaluator.models.model_file import ValueType

#: A value and its GGUF type.
Typed = tuple[Any, ValueType]


def u32(value: int) -> Typed:
    """Return a whole number."""
    return value, ValueType(GGUFValueType.UINT32, None)


def f32(value: float) -> Typed:
    """Return a number, rounded to float32 as in a GGUF file."""
    return float(np.float32(value)), ValueType(GGUFValueType.FLOAT32, None)


def boolean(value: bool) -> Typed:
    """Return a truth value."""
    return value, ValueType(GGUFValueType.BOOL, None)


def booleans(values: Sequence[bool]) -> Typed:
    """Return an array of truth values."""
    return np.asarray(values, bool), ValueType(GGUFValueType.ARRAY, GGUFValueType.BOOL)


def string(value: str) -> Typed:
    """Return a string."""
    return value, ValueType(GGUFValueType.STRING, None)


def strings(values: Sequence[str]) -> Typed:
    """Return an array of strings."""
    return list(values), ValueType(GGUFValueType.ARRAY, GGUFValueType.STRING)


def f32_array(values: Sequence[float]) -> Typed:
    """Return an array of numbers."""
    return np.asarray(values, np.float32), ValueType(GGUFValueType.ARRAY, GGUFValueType.FLOAT32)


def i32_array(values: Sequence[int]) -> Typed:
    """Return an array of whole numbers."""
    return np.asarray(values, np.int32), ValueType(GGUFValueType.ARRAY, GGUFValueType.INT32)


def values_and_types(typed: Mapping[str, Typed]) -> tuple[dict[str, Any], dict[str, ValueType]]:
    """Split typed values into values and types, as a `ModelFile` holds them."""
    return {key: value for key, (value, _) in typed.items()}, {key: kind for key, (_, kind) in typed.items()}
