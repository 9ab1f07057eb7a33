"""Call ggml's own quantizers, the code that llama-quantize runs, in its shared library."""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as GGMLType

from evaluator.models.dequantize import dequantize_rows
from evaluator.models.ggml_library import WAY_OUT, ggml_library
from evaluator.support.errors import RequestError

Values = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
_Outcome = Literal["kept", "lost", "empty", "invalid", "overflow"]

_FUNCTIONS = ("ggml_quantize_chunk", "ggml_quantize_requires_imatrix", "ggml_validate_row_data")
#: Columns in the smallest group that a type encodes; share of the mean given to groups of all-zero importance.
_GROUP, _LEAST_SHARE = 8, 1e-3
#: Half precision rounds values of this size or less to zero.
_SMALLEST_HALF = 2.0**-25
#: The largest value that a type with scales in half precision holds (Q6_K: scale × 127 × 32), and types without
#: such scales. ggml aborts the process at some larger ones.
_LARGEST, _WIDE = 65504.0 * 127 * 32, (GGMLType.F32, GGMLType.BF16, GGMLType.MXFP4)
#: Limit of importance × weight³: its sums over a block, times the squares of a grid's values, stay finite in float32.
_LARGEST_PRODUCT = 1e30
#: Weights per call: long enough to hide Python behind the quantizer, short enough to keep all threads busy.
_CHUNK_WEIGHTS = 1 << 16

#: Types that ggml can make and the `gguf` package can read back.
QUANTIZABLE = (
    *(GGMLType.F32, GGMLType.F16, GGMLType.BF16, GGMLType.Q8_0, GGMLType.Q6_K),
    *(GGMLType.Q5_K, GGMLType.Q5_1, GGMLType.Q5_0, GGMLType.Q4_K, GGMLType.Q4_1, GGMLType.Q4_0),
    *(GGMLType.IQ4_NL, GGMLType.IQ4_XS, GGMLType.MXFP4, GGMLType.NVFP4, GGMLType.Q3_K),
    *(
        GGMLType.IQ3_S,
        GGMLType.IQ3_XXS,
        GGMLType.Q2_K,
        GGMLType.IQ2_S,
        GGMLType.IQ2_XS,
        GGMLType.IQ2_XXS,
        GGMLType.TQ2_0,
        GGMLType.TQ1_0,
    ),
    *(GGMLType.IQ1_M, GGMLType.IQ1_S),
)


def ggml_type(name: str) -> GGMLType:
    """Return the type called `name`, ignoring case.

    Raises:
        ValueError: there is none, or it cannot be made.
    """
    known = {item.name: item for item in QUANTIZABLE}
    if name.upper() not in known:
        raise ValueError(f"unknown tensor type {name!r} (known: {', '.join(sorted(known))})")
    return known[name.upper()]


def row_bytes(kind: GGMLType, columns: int) -> int:
    """Return the bytes of a row of `columns` weights, which must fill whole blocks."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    return int(columns // block * size)


def bits(kind: GGMLType) -> float:
    """Return the bits per weight of a type, scales included."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    return float(8 * size / block)


def block_size(kind: GGMLType) -> int:
    """Return the weights per block, of which a row must be a multiple."""
    return int(gguf.GGML_QUANT_SIZES[kind][0])


@functools.cache
def _library() -> ctypes.CDLL:
    library = ggml_library()
    if library is None:
        raise RequestError(f"quantizing needs ggml's library: {WAY_OUT}")
    for name in _FUNCTIONS:
        if not hasattr(library, name):
            raise RequestError(f"{library._name}: ggml's library lacks the function {name}: {WAY_OUT}")
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_void_p,
    ]
    library.ggml_quantize_requires_imatrix.restype = ctypes.c_bool
    library.ggml_validate_row_data.restype = ctypes.c_bool
    library.ggml_validate_row_data.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
    return library


def needs_importance(kind: GGMLType) -> bool:
    """Return whether ggml needs an importance matrix to make this type."""
    return bool(_library().ggml_quantize_requires_imatrix(int(kind)))


def quantize(values: Values, kind: GGMLType, importance: Values | None, pool: ThreadPoolExecutor) -> Bytes:
    """Quantize a tensor in memory, float32 [..., rows, columns], as `quantize_rows` does."""
    flat = np.ascontiguousarray(values, np.float32).reshape(-1, values.shape[-1])
    return quantize_rows(values.shape, lambda start, stop: flat[start:stop], kind, importance, pool)


def quantize_rows(
    shape: Sequence[int],
    read: Callable[[int, int], Values],
    kind: GGMLType,
    importance: Values | None,
    pool: ThreadPoolExecutor,
) -> Bytes:
    """Quantize a tensor on all threads of `pool`, which read and quantize a few rows at a time.

    Args:
        shape: [..., rows, columns].
        read: (first row, row after the last), counted over all matrices → their values, float32 [rows, columns].
        kind: one of `QUANTIZABLE`; `columns` is a multiple of its block.
        importance: float32 [n, columns], n being 1 or the number of matrices; None weights all columns equally. ggml
            writes zeros for adjacent columns whose importances are all zero, so they get a small importance instead.
        pool: its threads run in parallel, because calls of the library release the interpreter's lock.

    Returns:
        Bytes as uint8 [..., rows, bytes per row].

    Raises:
        ValueError: the shapes do not fit, the type needs an importance matrix, weights are not finite or too
            large, also for their importances, or all of them would become zeros.
    """
    rows, columns = shape[-2:]
    matrices = math.prod(shape[:-2])
    if columns % block_size(kind):
        raise ValueError(f"rows of {columns} do not fit {kind.name} blocks of {block_size(kind)}")
    if importance is None and needs_importance(kind):
        raise ValueError(f"{kind.name} cannot be made without an importance matrix")
    if importance is not None:
        importance = np.ascontiguousarray(
            np.broadcast_to(_without_zero_groups(importance), (matrices, columns)), np.float32
        )
    target = np.empty((matrices * rows, row_bytes(kind, columns)), np.uint8)
    library = _library()

    def run(part: tuple[int, int, int]) -> _Outcome:
        matrix, start, stop = part
        weights = None if importance is None else importance[matrix].ctypes.data
        values, piece = np.ascontiguousarray(read(start, stop), np.float32), target[start:stop]
        largest = float(np.abs(values).max(initial=0))
        if not largest <= (_LARGEST if kind not in _WIDE else float(np.finfo(np.float32).max)):
            return "invalid"
        if importance is not None and importance[matrix].max() > _LARGEST_PRODUCT / max(1, largest) ** 3:
            return "overflow"
        library.ggml_quantize_chunk(
            int(kind), values.ctypes.data, piece.ctypes.data, 0, stop - start, columns, weights
        )
        if not library.ggml_validate_row_data(int(kind), piece.ctypes.data, piece.nbytes):
            return "invalid"
        return _outcome(values, piece, kind)

    outcomes = set(pool.map(run, _parts(matrices, rows, columns)))
    if "invalid" in outcomes:
        raise ValueError(f"values that are not finite, or too large for {kind.name}")
    if "overflow" in outcomes:
        raise ValueError(
            f"weights and importances whose products are too large for {kind.name}: "
            "measure the importance matrix again"
        )
    if "lost" in outcomes and "kept" not in outcomes:
        raise ValueError(
            f"{kind.name} would turn all its weights into zeros: they or their importances are too small"
        )
    return target.reshape(*shape[:-1], -1)


def _without_zero_groups(importance: Values) -> Values:
    """Raise groups of adjacent columns with all-zero importances, for which ggml would write zeros."""
    groups = importance.astype(np.float32).reshape(
        len(importance), -1, math.gcd(_GROUP, importance.shape[-1])
    )
    means = groups.mean(axis=(1, 2), keepdims=True)
    least = np.where(means > 0, _LEAST_SHARE * means, 1)
    return np.where(groups.any(axis=2, keepdims=True), groups, least).reshape(importance.shape)


def _outcome(values: Values, encoded: Bytes, kind: GGMLType) -> _Outcome:
    """Check the row with the largest weight after quantizing; `empty` if even half precision would give zeros."""
    largest = np.abs(values).max(axis=1)
    row = int(largest.argmax())
    if largest[row] <= _SMALLEST_HALF:
        return "empty"
    return "kept" if dequantize_rows(encoded[row : row + 1], kind).any() else "lost"


def _parts(matrices: int, rows: int, columns: int) -> Iterator[tuple[int, int, int]]:
    """Yield (matrix, first row, row after the last) of every call; none spans two matrices."""
    step = max(1, _CHUNK_WEIGHTS // columns)
    for matrix in range(matrices):
        for start in range(matrix * rows, (matrix + 1) * rows, step):
            yield matrix, start, min(start + step, (matrix + 1) * rows)
