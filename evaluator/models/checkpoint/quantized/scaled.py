"""Weights of 8-bit floats or integers with scales: per tensor, channel, group or block (FP8, INT8, MXFP8)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from evaluator.models.checkpoint.quantized.numbers import E8M0, EIGHT_BITS, Values, as_float32
from evaluator.models.checkpoint.quantized.parts import (
    FLOATS,
    Parts,
    affine,
    block_columns,
    grid,
    misfit,
    numbered,
    whole_numbers,
)
from evaluator.models.checkpoint.safetensors_file import StoredArray
from evaluator.models.checkpoint.tensor_bytes import Parameter, Rows, decoded
from evaluator.models.tensor_types import CheckpointType

_KINDS: Mapping[str, CheckpointType] = {
    "F8_E4M3": CheckpointType.FP8_E4M3,
    "F8_E5M2": CheckpointType.FP8_E5M2,
    "I8": CheckpointType.INT8,
}
_EXPONENTS = ("U8", "F8_E8M0")
#: Endings that the name of a weight's scale adds to it. Both scales are factors, whatever the name says.
_SCALES = ("_scale_inv", "_scale")
_NO_CODES = (*_SCALES, "_zero_point")


def read_scaled(codes: StoredArray, parts: Parts) -> Parameter | None:
    """Return code × scale, or (code − zero point) × scale.

    Raises:
        SourceError: the weight has no scale, or its arrays do not fit together.
    """
    if codes.kind not in _KINDS or len(codes.shape) < 2 or codes.name.endswith(_NO_CODES):
        return None
    suffix = next((ending for ending in _SCALES if codes.name + ending in parts.files), _SCALES[-1])
    scale_array = parts.need(codes.name + suffix, (*FLOATS, *_EXPONENTS), codes)
    exponents = scale_array.kind in _EXPONENTS
    zero_array, order_array = parts.find(f"{codes.name}_zero_point"), parts.find(f"{codes.name}_g_idx")
    if zero_array is not None and zero_array.kind not in ("I8", "I32", "I64", *FLOATS, *EIGHT_BITS):
        raise misfit(zero_array, f"is stored as {zero_array.kind}, which no zero point is")
    order = None if order_array is None else whole_numbers(order_array)
    block, shape = block_columns(parts.settings), codes.shape
    scale = grid(scale_array, shape, block, order, E8M0 if exponents else None)
    zero = None if zero_array is None else grid(zero_array, shape, block, order)
    rows_of, columns = math.prod(shape[:-1]), shape[-1]

    def decode(rows: Rows) -> Values:
        numbers = numbered(rows, rows_of)
        taken = codes.numbers().reshape(rows_of, columns)[rows]
        zeros = None if zero is None else zero.over_columns(zero.values(numbers))
        scales = scale.over_columns(scale.values(numbers))
        return affine(as_float32(codes.kind, taken), scales, zeros)

    kind = CheckpointType.MXFP8 if exponents and codes.kind == "F8_E4M3" else _KINDS[codes.kind]
    arrays = [array for array in (codes, scale_array, zero_array, order_array) if array is not None]
    return decoded(codes.name, shape, kind, arrays, decode)
