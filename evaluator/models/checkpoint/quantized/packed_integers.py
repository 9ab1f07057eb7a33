"""Weights of integers packed into 32-bit words: pack-quantized (compressed-tensors), GPTQ and AWQ."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from evaluator.models.checkpoint.quantized.numbers import Numbers, Values, as_float32, codes_at, codes_in
from evaluator.models.checkpoint.quantized.parts import (
    FLOATS,
    Parts,
    affine,
    grid,
    misfit,
    numbered,
    whole_numbers,
)
from evaluator.models.checkpoint.safetensors_file import StoredArray
from evaluator.models.checkpoint.tensor_bytes import Parameter, Rows, decoded
from evaluator.models.dequantize import Indices
from evaluator.models.tensor_types import CheckpointType

_PACKED, _QWEIGHT = "_packed", ".qweight"
_WORDS = ("I32", "U32")
_PACKED_KINDS: Mapping[int, CheckpointType] = {
    2: CheckpointType.INT2,
    4: CheckpointType.INT4,
    8: CheckpointType.INT8,
}
_GPTQ_KINDS: Mapping[int, CheckpointType] = {
    2: CheckpointType.GPTQ2,
    3: CheckpointType.GPTQ3,
    4: CheckpointType.GPTQ4,
    8: CheckpointType.GPTQ8,
}
#: Place of each of eight neighbouring rows among the codes of a word of AWQ, which holds rows 0 2 4 6 1 3 5 7.
_AWQ_PLACES = np.array([0, 4, 1, 5, 2, 6, 3, 7])


def read_packed_integers(codes: StoredArray, parts: Parts) -> Parameter | None:
    """Return a weight of compressed-tensors: codes packed along columns, zero points along rows.

    A code c of b bits means the number c − 2^(b−1); zero points too.

    Raises:
        SourceError: the arrays do not fit together, or the codes have another number of bits than 2, 4 or 8.
    """
    if codes.kind not in _WORDS or not codes.name.endswith(_PACKED):
        return None
    name = codes.name.removesuffix(_PACKED)
    shape = tuple(whole_numbers(parts.need(f"{name}_shape", ("I32", "I64"), codes)).tolist())
    bits = next((bits for bits in _PACKED_KINDS if _packed_shape(shape, bits) == codes.shape), None)
    if bits is None:
        raise misfit(codes, f"does not hold a weight of shape {list(shape)[:4]} in codes of 2, 4 or 8 bits")
    scale_array = parts.need(f"{name}_scale", FLOATS, codes)
    zero_array, order_array = parts.find(f"{name}_zero_point"), parts.find(f"{name}_g_idx")
    order = None if order_array is None else whole_numbers(order_array)
    scale = grid(scale_array, shape, None, order)
    rows_of, columns = shape
    if zero_array is not None and (
        zero_array.kind not in _WORDS or zero_array.shape != (-(-rows_of * bits // 32), scale.shape[2])
    ):
        raise misfit(zero_array, f"of shape {list(zero_array.shape)} does not fit its scales")

    def decode(rows: Rows) -> Values:
        numbers = numbered(rows, rows_of)
        taken = codes_in(codes.numbers()[rows], bits, columns)
        if zero_array is None:
            zeros: Numbers = np.array([[1 << (bits - 1)]])
        else:
            zeros = scale.over_columns(codes_at(zero_array.numbers().T, numbers * bits, bits).T)
        return affine(taken, scale.over_columns(scale.values(numbers)), zeros)

    arrays = [array for array in (codes, scale_array, zero_array, order_array) if array is not None]
    return decoded(name, shape, _PACKED_KINDS[bits], arrays, decode)


def _packed_shape(shape: tuple[int, ...], bits: int) -> tuple[int, ...]:
    return (shape[0], -(-shape[1] * bits // 32)) if len(shape) == 2 else ()


def read_gptq(codes: StoredArray, parts: Parts) -> Parameter | None:
    """Return a weight of GPTQ: codes packed along columns, each row of `qweight` a word of every row of the weight.

    The first version of the format stores each zero point less 1, the second as it is.

    Raises:
        SourceError: the arrays do not fit together, or the codes have another number of bits than 2, 3, 4 or 8.
    """
    if not codes.name.endswith(_QWEIGHT):
        return None
    stem = codes.name.removesuffix(_QWEIGHT)
    zero_array, scale_array = _zeros_and_scales(codes, parts, stem)
    groups, rows_of = scale_array.shape
    bits = 32 * zero_array.shape[1] // rows_of
    columns = 32 * codes.shape[0] // bits if bits else 0
    if (
        bits not in _GPTQ_KINDS
        or zero_array.shape != (groups, -(-rows_of * bits // 32))
        or codes.shape != (columns * bits // 32, rows_of)
    ):
        raise misfit(codes, "does not fit its zeros and scales in codes of 2, 3, 4 or 8 bits")
    order_array = parts.find(f"{stem}.g_idx")
    order = None if order_array is None else _listed(order_array, columns, groups)
    _check_even(codes, columns, groups if order is None else 1)
    less = 0 if parts.settings.values.get("checkpoint_format") == "gptq_v2" else 1
    largest = np.uint8((1 << bits) - 1)

    def decode(rows: Rows) -> Values:
        numbers = numbered(rows, rows_of)
        taken = codes_in(codes.numbers()[:, rows].T, bits, columns)
        zeros = codes_at(zero_array.numbers(), numbers * bits, bits).T + np.uint8(less) & largest
        scales = as_float32(scale_array.kind, scale_array.numbers()[:, rows].T)
        if order is None:
            return affine(taken, scales, zeros)
        return affine(taken, np.take(scales, order, axis=1), np.take(zeros, order, axis=1))

    arrays = [codes, zero_array, scale_array, *([] if order_array is None else [order_array])]
    return decoded(f"{stem}.weight", (rows_of, columns), _GPTQ_KINDS[bits], arrays, decode)


def read_awq(codes: StoredArray, parts: Parts) -> Parameter | None:
    """Return a weight of AWQ: 4-bit codes, a word for eight rows of a column.

    Raises:
        SourceError: the arrays do not fit together.
    """
    if not codes.name.endswith(_QWEIGHT):
        return None
    stem = codes.name.removesuffix(_QWEIGHT)
    zero_array, scale_array = _zeros_and_scales(codes, parts, stem)
    groups, rows_of = scale_array.shape
    columns = codes.shape[0]
    if codes.shape[1] * 8 != rows_of or zero_array.shape != (groups, codes.shape[1]):
        raise misfit(codes, "does not fit its zeros and scales in codes of 4 bits")
    _check_even(codes, columns, groups)

    def decode(rows: Rows) -> Values:
        numbers = numbered(rows, rows_of)
        words, shifts = numbers // 8, (4 * _AWQ_PLACES[numbers % 8]).astype(np.uint32)

        def unpacked(array: StoredArray) -> npt.NDArray[np.uint8]:
            taken = array.numbers()[:, words].astype("<u4") >> shifts
            return taken.astype(np.uint8).T & np.uint8(15)

        scales = as_float32(scale_array.kind, scale_array.numbers()[:, rows].T)
        return affine(np.ascontiguousarray(unpacked(codes)), scales, unpacked(zero_array))

    arrays = [codes, zero_array, scale_array]
    return decoded(f"{stem}.weight", (rows_of, columns), CheckpointType.AWQ4, arrays, decode)


def _zeros_and_scales(codes: StoredArray, parts: Parts, stem: str) -> tuple[StoredArray, StoredArray]:
    zeros = parts.need(f"{stem}.qzeros", _WORDS, codes)
    scales = parts.need(f"{stem}.scales", FLOATS, codes)
    if codes.kind not in _WORDS or not len(codes.shape) == len(zeros.shape) == len(scales.shape) == 2:
        raise misfit(codes, "and its zeros and scales are not two-dimensional arrays of words and floats")
    return zeros, scales


def _listed(order_array: StoredArray, columns: int, groups: int) -> Indices | None:
    """Return the group of every column; None if they are the usual ones, equally many columns one after another."""
    order = whole_numbers(order_array)
    if len(order) != columns or not 0 <= order.min() <= order.max() < groups:
        raise misfit(order_array, f"does not list a group below {groups} for each of {columns} columns")
    usual = columns % groups == 0 and np.array_equal(order, np.arange(columns) // (columns // groups))
    return None if usual else order


def _check_even(codes: StoredArray, columns: int, groups: int) -> None:
    if columns % groups:
        raise misfit(codes, f"has {columns} columns, which {groups} groups do not divide")
