"""Weights of 4-bit floats: NVFP4 (a scale per 16 and one per tensor) and MXFP4 (a power of two per 32)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from evaluator.models.checkpoint.quantized.numbers import E2M1, E8M0, Values, nibble_values
from evaluator.models.checkpoint.quantized.parts import Parts, affine, grid, misfit, numbered
from evaluator.models.checkpoint.safetensors_file import StoredArray
from evaluator.models.checkpoint.tensor_bytes import Parameter, Rows, decoded
from evaluator.models.tensor_types import CheckpointType

_PACKED = "_packed"
_BLOCKS = "_blocks"
_EXPONENTS = ("U8", "F8_E8M0")
_NVFP4_GROUP, _MXFP4_GROUP = 16, 32


def read_packed_floats(codes: StoredArray, parts: Parts) -> Parameter | None:
    """Return a weight of compressed-tensors: NVFP4, whose scale is divided by the tensor's, or MXFP4.

    Raises:
        SourceError: the arrays do not fit together.
    """
    if codes.kind != "U8" or not codes.name.endswith(_PACKED):
        return None
    name = codes.name.removesuffix(_PACKED)
    scale = parts.need(f"{name}_scale", ("F8_E4M3", *_EXPONENTS), codes)
    if scale.kind in _EXPONENTS:
        return _mxfp4(name, codes, scale)
    whole = parts.need(f"{name}_global_scale", ("F32",), codes)
    return _nvfp4(name, codes, scale, whole, np.divide)


def read_nvfp4(codes: StoredArray, parts: Parts) -> Parameter | None:
    """Return a weight of ModelOpt: NVFP4, whose scale is multiplied by the tensor's.

    Raises:
        SourceError: the arrays do not fit together.
    """
    if codes.kind != "U8" or f"{codes.name}_scale_2" not in parts.files:
        return None
    scale = parts.need(f"{codes.name}_scale", ("F8_E4M3",), codes)
    whole = parts.need(f"{codes.name}_scale_2", ("F32",), codes)
    return _nvfp4(codes.name, codes, scale, whole, np.multiply)


def read_mxfp4(codes: StoredArray, parts: Parts) -> Parameter | None:
    """Return a weight of gpt-oss: blocks of 16 bytes [matrices, rows, blocks, 16], a scale for each.

    Its shape is [matrices, rows, columns], as the files order the values, where transformers swaps rows and columns.

    Raises:
        SourceError: the arrays do not fit together.
    """
    if codes.kind != "U8" or not codes.name.endswith(_BLOCKS) or len(codes.shape) < 3:
        return None
    name = codes.name.removesuffix(_BLOCKS)
    return _mxfp4(name, codes, parts.need(f"{name}_scales", _EXPONENTS, codes))


def _mxfp4(name: str, codes: StoredArray, scale_array: StoredArray) -> Parameter:
    shape = (*scale_array.shape[:-1], scale_array.shape[-1] * _MXFP4_GROUP) if scale_array.shape else ()
    _check(codes, shape)
    scale = grid(scale_array, shape, (1, _MXFP4_GROUP), None, E8M0)

    def factors(rows: Rows) -> Values:
        return scale.over_columns(scale.values(numbered(rows, math.prod(shape[:-1]))))

    return _weight(name, shape, CheckpointType.MXFP4, [codes, scale_array], factors)


def _nvfp4(
    name: str,
    codes: StoredArray,
    scale_array: StoredArray,
    whole_array: StoredArray,
    combine: Callable[[Values, Values], Values],
) -> Parameter:
    """Return a weight whose factors are `combine(scale, the scale of its matrix)`, rounded to float32."""
    shape = (*codes.shape[:-1], 2 * codes.shape[-1]) if codes.shape else ()
    _check(codes, shape)
    scale, whole = grid(scale_array, shape, (1, _NVFP4_GROUP)), grid(whole_array, shape)

    def factors(rows: Rows) -> Values:
        numbers = numbered(rows, math.prod(shape[:-1]))
        with np.errstate(all="ignore"):  # files may hold zeros
            return scale.over_columns(combine(scale.values(numbers), whole.values(numbers)))

    return _weight(name, shape, CheckpointType.NVFP4, [codes, scale_array, whole_array], factors)


def _check(codes: StoredArray, shape: tuple[int, ...]) -> None:
    if len(shape) not in (2, 3) or 2 * codes.n_bytes != math.prod(shape):
        raise misfit(codes, f"of shape {list(codes.shape)} does not fit its scales: weights of {list(shape)}")


def _weight(
    name: str,
    shape: tuple[int, ...],
    kind: CheckpointType,
    arrays: list[StoredArray],
    factors: Callable[[Rows], Values],
) -> Parameter:
    def decode(rows: Rows) -> Values:
        packed = arrays[0].numbers().reshape(math.prod(shape[:-1]), -1)[rows]
        return affine(nibble_values(E2M1, packed), factors(rows))

    return decoded(name, shape, kind, arrays, decode)
