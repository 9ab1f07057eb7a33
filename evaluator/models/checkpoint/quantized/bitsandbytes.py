"""Weights of bitsandbytes: 4-bit codes of a table (NF4, FP4), and 8-bit integers with a scale per row."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from evaluator.models.checkpoint.quantized.numbers import Values, as_float32, nibble_values
from evaluator.models.checkpoint.quantized.parts import Parts, affine, misfit, numbered
from evaluator.models.checkpoint.safetensors_file import StoredArray
from evaluator.models.checkpoint.tensor_bytes import Parameter, Rows, decoded
from evaluator.models.dequantize import Indices
from evaluator.models.tensor_types import CheckpointType

_KINDS = {"nf4": CheckpointType.NF4, "fp4": CheckpointType.FP4}
_LARGEST = 127
_WEIGHT = ".weight"


def read_int8(codes: StoredArray, parts: Parts) -> Parameter | None:
    """Return code × largest magnitude of the row / 127.

    Raises:
        SourceError: the arrays do not fit together, or the codes are in a layout of old graphics cards.
    """
    if codes.kind != "I8" or not codes.name.endswith(_WEIGHT) or len(codes.shape) != 2:
        return None
    stem = codes.name.removesuffix(_WEIGHT)
    largest = parts.need(f"{stem}.SCB", ("F32",), codes)
    layout = parts.find(f"{stem}.weight_format")
    if layout is not None and layout.numbers().any():
        raise misfit(
            codes, "has the layout of a graphics card; save it row by row, as bitsandbytes 0.45 does"
        )
    if largest.shape not in ((codes.shape[0],), (codes.shape[0], 1)):
        raise misfit(largest, f"does not hold a number for each of {codes.shape[0]} rows")

    def decode(rows: Rows) -> Values:
        scales = as_float32("F32", largest.numbers()).reshape(-1, 1)[rows] / np.float32(_LARGEST)
        return affine(codes.numbers()[rows], scales)

    return decoded(codes.name, codes.shape, CheckpointType.INT8, [codes, largest], decode)


def read_four_bits(codes: StoredArray, parts: Parts) -> Parameter | None:
    """Return the table's value of each code × the scale of its block; scales may be quantized themselves.

    Blocks run through the whole weight, row after row, and the upper half of a byte comes first.

    Raises:
        SourceError: the arrays do not fit together.
    """
    state = f"{codes.name}.quant_state.bitsandbytes__"
    kind = next((kind for kind in _KINDS if state + kind in parts.files), None)
    if kind is None:
        return None
    described = parts.need(state + kind, ("U8",), codes)
    shape, block, nested = _described(described)
    table = parts.need(f"{codes.name}.quant_map", ("F32",), codes)
    largest = parts.need(f"{codes.name}.absmax", ("U8",) if nested else ("F32",), codes)
    weights = math.prod(shape)
    if (
        table.shape != (16,)
        or 2 * codes.n_bytes != weights
        or math.prod(largest.shape) != -(-weights // block)
    ):
        raise misfit(codes, f"does not hold {weights:,} weights in blocks of {block}")
    rows_of, columns = shape
    if columns % 2:
        raise misfit(codes, f"holds rows of {columns} weights, an odd number")
    arrays = [codes, largest, table, described]
    unnested = _nested(codes, largest, nested, parts, arrays) if nested else None

    def scales(blocks: Indices) -> Values:
        taken = largest.numbers().reshape(-1)[blocks]
        return as_float32("F32", taken) if unnested is None else unnested(taken, blocks)

    def decode(rows: Rows) -> Values:
        numbers = numbered(rows, rows_of)
        packed = codes.raw().reshape(rows_of, -1)[rows]  # stored under any type
        swapped = packed << np.uint8(4) | packed >> np.uint8(4)
        within = np.arange(0, columns, math.gcd(columns, block))  # where blocks may begin in a row
        blocks = (numbers[:, None] * columns + within) // block
        return affine(nibble_values(table.numbers(), swapped), scales(blocks))

    return decoded(codes.name, shape, _KINDS[kind], arrays, decode)


def _described(array: StoredArray) -> tuple[tuple[int, int], int, tuple[int, float] | None]:
    """Return the weight's shape, its block, and block and offset of the scales if they are quantized."""
    try:
        described: Any = json.loads(array.raw().tobytes())
    except (ValueError, RecursionError):
        described = None
    match described:
        case {"shape": [int(rows), int(columns)], "blocksize": int(block)} if min(rows, columns, block) > 0:
            match described:
                case {"nested_blocksize": int(nested), "nested_offset": float() | int() as offset} if (
                    nested > 0
                ):
                    return (rows, columns), block, (nested, float(offset))
            return (rows, columns), block, None
    raise misfit(array, "does not describe a matrix and its blocks")


def _nested(
    codes: StoredArray,
    largest: StoredArray,
    nested: tuple[int, float],
    parts: Parts,
    arrays: list[StoredArray],
) -> Any:
    """Return the function from codes of scales and their numbers to scales; add its arrays to `arrays`."""
    block, offset = nested
    table = parts.need(f"{codes.name}.nested_quant_map", ("F32",), codes)
    scale = parts.need(f"{codes.name}.nested_absmax", ("F32",), codes)
    if table.shape != (256,) or math.prod(scale.shape) != -(-math.prod(largest.shape) // block):
        raise misfit(scale, f"does not hold a scale for every {block} scales")
    arrays += [table, scale]

    def values(taken: Indices, blocks: Indices) -> Values:
        return affine(table.numbers()[taken], scale.numbers().reshape(-1)[blocks // block]) + np.float32(
            offset
        )

    return values
