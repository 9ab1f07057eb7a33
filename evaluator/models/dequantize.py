"""Turn the bytes of quantized tensors into values, on all threads and without copies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as GGMLType

from evaluator.models.block_decoders import Decode, decoder
from evaluator.models.tensor_types import CheckpointType, TensorType, block_layout
from evaluator.support.stage_clock import StageClock, current_clock
from evaluator.support.threads import in_blocks, thread_count

Bytes = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]
Indices = npt.NDArray[np.integer[Any]]
_PAGE = 4096
#: Weights that one call decodes: enough to hide Python's part, few enough to keep all threads busy.
_MIN_WEIGHTS, _MAX_WEIGHTS = 1 << 18, 1 << 20

_THREAD = threading.local()


def dequantize_rows(
    rows: Bytes, kind: TensorType, out: Values | None = None, clock: StageClock | None = None
) -> Values:
    """Return the values of rows, decoded in parallel.

    Args:
        rows: uint8 [n, bytes per row], usually mapped from a file, little-endian.
        kind: their type.
        out: contiguous float32 [n, columns] for the values; F32 without it gives a view of the bytes, not a copy.
        clock: what counts the time until the bytes are in memory, and the rest; by default the current clock. The
            time of a view is not counted, because its bytes are read only when it is used.

    Returns:
        float32 [n, columns], `out` if it was given.

    Raises:
        NotImplementedError: the type has no dequantizer.
        ValueError: the rows are not whole blocks, or `out` has another shape, type or layout.
    """
    columns, block, size = _blocks(rows, kind)
    if kind == GGMLType.F32 and out is None and rows.strides[-1:] == (1,):
        return np.require(rows.view("<f4"), np.float32, "A")
    decode = decoder(kind)
    values = _checked(out, (len(rows), columns))
    if not rows.flags.c_contiguous:
        return _gathered(rows, decode, np.arange(len(rows)), values, clock)
    data, flat = rows.reshape(-1), values.reshape(-1)

    def work(start: int, stop: int) -> tuple[float, float]:
        part = data[start * size : stop * size]
        began = time.perf_counter()
        part[::_PAGE].max()  # waits for the disk and maps the pages; a copy would cost 10 % more for Q8_0
        read = time.perf_counter()
        decode(part, flat[start * block : stop * block])
        return read - began, time.perf_counter() - read

    if data.size:
        _timed_blocks(data.size // size, max(1, _weights_at_once(flat.size) // block), work, clock)
    return values


def gathered_rows(rows: Bytes, kind: TensorType, indices: Indices) -> Values:
    """Return the values of chosen rows, in the order of `indices`; other rows are not read.

    Args:
        rows: uint8 [n, bytes per row], as in `dequantize_rows`.
        kind: their type.
        indices: integers from 0 to n - 1, one-dimensional; they may repeat.

    Returns:
        float32 [number of indices, columns].

    Raises:
        IndexError: there is no such row.
        NotImplementedError: the type has no dequantizer.
        ValueError: the rows are not whole blocks, or `indices` are not integers in one dimension.
    """
    columns, _, _ = _blocks(rows, kind)
    check_indices(indices, len(rows))
    values = np.empty((len(indices), columns), np.float32)
    return _gathered(rows, decoder(kind), indices, values, None)


def check_indices(indices: Indices, n_rows: int) -> None:
    """Check that `indices` number rows of a tensor with `n_rows`.

    Raises:
        IndexError: there is no such row.
        ValueError: they are not integers in one dimension.
    """
    if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer):
        raise ValueError(f"indices of rows: {indices.dtype} in {indices.ndim} dimensions instead of integers")
    if indices.size and not 0 <= indices.min() <= indices.max() < n_rows:
        raise IndexError(f"rows {indices.min()} to {indices.max()} of a tensor with {n_rows}")


def decode_rows(
    decode: Callable[[int, int], Values], shape: tuple[int, int], out: Values | None, clock: StageClock | None
) -> Values:
    """Return rows that a function decodes, in parallel; its time counts as dequantizing, reading included.

    Args:
        decode: returns rows `start` to `stop`, float32 [rows, columns]; threads call it at the same time.
        shape: all rows, and their columns.
        out: contiguous float32 array of that shape for the values.
        clock: what counts the time; by default the current clock.

    Returns:
        float32 in `shape`, `out` if it was given.

    Raises:
        ValueError: `out` has another shape, type or layout.
    """
    values = _checked(out, shape)

    def work(start: int, stop: int) -> tuple[float, float]:
        began = time.perf_counter()
        with np.errstate(all="ignore"):  # scales may be non-finite
            values[start:stop] = decode(start, stop)
        return 0, time.perf_counter() - began

    if values.size:
        _timed_blocks(shape[0], max(1, _MIN_WEIGHTS // shape[1]), work, clock)
    return values


def _gathered(
    rows: Bytes, decode: Decode, indices: Indices, values: Values, clock: StageClock | None
) -> Values:
    def work(start: int, stop: int) -> tuple[float, float]:
        began = time.perf_counter()
        part = _buffer((stop - start) * rows.shape[1]).reshape(stop - start, -1)
        np.take(rows, indices[start:stop], axis=0, out=part, mode="clip")
        read = time.perf_counter()
        decode(part.reshape(-1), values[start:stop].reshape(-1))
        return read - began, time.perf_counter() - read

    if values.size:
        step = max(1, _weights_at_once(values.size) // values.shape[1])
        _timed_blocks(len(indices), step, work, clock)
    return values


def _blocks(rows: Bytes, kind: TensorType) -> tuple[int, int, int]:
    """Check rows; return their columns, and the weights and bytes of a part that is decoded by itself.

    That part is a block, or the whole row if the row has bytes of its own.
    """
    if isinstance(kind, CheckpointType):
        raise NotImplementedError(kind.name)
    layout = block_layout(kind)
    if rows.dtype != np.uint8 or rows.ndim != 2 or (rows.shape[1] - layout.row_bytes) % layout.n_bytes:
        raise ValueError(
            f"{rows.dtype} of shape {rows.shape} are not rows of {kind.name} blocks of {layout.n_bytes} bytes"
        )
    columns = layout.columns_of(rows.shape[1])
    if layout.row_bytes:
        return columns, columns, rows.shape[1]
    return columns, layout.weights, layout.n_bytes


def _checked(out: Values | None, shape: tuple[int, int]) -> Values:
    if out is None:
        return np.empty(shape, np.float32)
    if out.shape != shape or out.dtype != np.float32 or not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError(f"values of shape {shape} need a contiguous, writable float32 array of that shape")
    return out


def _weights_at_once(total: int) -> int:
    if total <= _MIN_WEIGHTS:
        return _MIN_WEIGHTS
    return min(_MAX_WEIGHTS, max(_MIN_WEIGHTS, total // (4 * thread_count())))


def _timed_blocks(
    total: int, step: int, work: Callable[[int, int], tuple[float, float]], clock: StageClock | None
) -> None:
    """Do the work, and divide the time that the caller waits as the threads divided theirs.

    `work` returns the seconds it spent reading and dequantizing.
    """
    spent: list[tuple[float, float]] = []
    began = time.perf_counter()
    in_blocks(total, step, lambda start, stop: spent.append(work(start, stop)))
    elapsed = time.perf_counter() - began
    clock = clock or current_clock()
    if clock is None:
        return
    reading = sum(seconds for seconds, _ in spent)
    share = reading / max(reading + sum(seconds for _, seconds in spent), 1e-9)
    clock.add("reading", elapsed * share)
    clock.add("dequantizing", elapsed * (1 - share))


def _buffer(n_bytes: int) -> Bytes:
    """Return this thread's buffer, which the next call in the thread overwrites."""
    buffer: Bytes | None = getattr(_THREAD, "buffer", None)
    if buffer is None or len(buffer) < n_bytes:
        buffer = _THREAD.buffer = np.empty(n_bytes, np.uint8)
    return buffer[:n_bytes]
