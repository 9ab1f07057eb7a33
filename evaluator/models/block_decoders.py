"""Choose the function that turns the bytes of a type's blocks into values.

The values are those that `gguf.dequantize` defines, bit for bit, and `ik_blocks` for types that `gguf` cannot decode.
ggml's own C functions compute them where its library is present: 3 to 16 times as fast on one thread, and without the
interpreter's lock. Before a function is used in a process, it has to give the same values for a few thousand random
blocks; otherwise Python computes that type.

Files are untrusted, and the C functions check nothing. They are safe for any bytes, because they get whole blocks of
the size that the library itself states, and because every table that they index has an entry for each value of the
bits that the index is made of: 8 bits for IQ2_XXS and IQ3_XXS (256 entries), 9 for IQ2_XS and IQ3_S (512), 10 for
IQ2_S (1024), 11 for IQ1_S and IQ1_M (2048), 7 for the signs (128), 4 for IQ4_NL, IQ4_XS, MXFP4 and NVFP4 (16). The
other types use arithmetic only. Types whose function nobody has read so far are left to Python.
"""

from __future__ import annotations

import ctypes
import functools
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as GGMLType

from evaluator.models.ggml_library import ggml_library
from evaluator.models.ik_blocks import DECODERS, DecodeBlocks
from evaluator.models.tensor_types import BlockType, block_layout

Bytes = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]
#: A function from the bytes of whole blocks to their values, both one-dimensional and contiguous.
Decode = Callable[[Bytes, Values], None]

#: Types whose C function is safe for any bytes, as the module's text explains, besides F16.
_SAFE = (
    *("BF16", "Q8_0", "Q6_K", "Q5_K", "Q5_1", "Q5_0", "Q4_K", "Q4_1", "Q4_0", "IQ4_NL", "IQ4_XS", "MXFP4"),
    *("NVFP4", "Q3_K", "IQ3_S", "IQ3_XXS", "Q2_K", "IQ2_S", "IQ2_XS", "IQ2_XXS", "TQ2_0", "TQ1_0", "IQ1_M"),
    *("IQ1_S", "Q1_0", "Q2_0", "Q8_K"),
)
_SIZES = ("ggml_blck_size", "ggml_type_size")
_CHECKED_BLOCKS = 4096
#: Weights decoded at a time where there are temporaries, which then stay in the processor's cache.
_WEIGHTS = 1 << 16
#: Numbers that the C function for halves converts in one step; it takes the rest from a table that may be empty.
_HALVES = 8
#: Instructions that ggml may be compiled for → their name in the description of the processor.
_INSTRUCTIONS = {
    "avx": "avx",
    "avx2": "avx2",
    "bmi2": "bmi2",
    "f16c": "f16c",
    "fma": "fma",
    "avx512": "avx512f",
}
_PROCESSOR = Path("/proc/cpuinfo")


@functools.cache
def decoder(kind: BlockType) -> Decode:
    """Return the fastest function for a type.

    Raises:
        NotImplementedError: there is none.
    """
    if kind == GGMLType.F32:
        return lambda data, values: np.copyto(values, data.view("<f4"))
    if kind == GGMLType.F16:
        exact, fast = _half_table(), _half_function()
    elif kind in DECODERS:
        exact, fast = functools.partial(_in_numpy, kind, DECODERS[kind]), _block_function(kind)
    else:
        gguf.dequantize(np.zeros(block_layout(kind).n_bytes, np.uint8), kind)  # raises for an unknown type
        exact, fast = functools.partial(_gguf, kind), _block_function(kind)
    return fast if fast is not None and _agree(exact, fast, kind) else exact


def _gguf(kind: BlockType, data: Bytes, values: Values) -> None:
    block, size = gguf.GGML_QUANT_SIZES[kind]
    step = max(1, _WEIGHTS // block)
    with np.errstate(all="ignore"):  # scales may be non-finite
        for start in range(0, len(data) // size, step):
            part = data[start * size : (start + step) * size]
            values[start * block : (start + step) * block] = gguf.dequantize(part, kind)


def _in_numpy(kind: BlockType, decode: DecodeBlocks, data: Bytes, values: Values) -> None:
    """Decode whole blocks, or whole rows of types that have a scale per row at its beginning."""
    layout = block_layout(kind)
    n_rows = 1
    if layout.row_bytes:
        n_rows = (len(data) - len(values) // layout.weights * layout.n_bytes) // layout.row_bytes
    rows = data.reshape(n_rows, -1)
    per_row = (rows.shape[1] - layout.row_bytes) // layout.n_bytes
    blocks = rows[:, layout.row_bytes :].reshape(-1, layout.n_bytes)
    scales = _row_scales(rows, layout.row_bytes).repeat(per_row, axis=0)
    target, step = values.reshape(-1, layout.weights), max(1, _WEIGHTS // layout.weights)
    with np.errstate(all="ignore"):  # scales may be non-finite
        for start in range(0, len(blocks), step):
            part = slice(start, start + step)
            target[part] = decode(blocks[part], scales[part])


def _row_scales(rows: Bytes, row_bytes: int) -> Values:
    """Return the scale of each row, float32 [rows, 1]: a half in two bytes, a float32 at the beginning of more."""
    if not row_bytes:
        return np.ones((len(rows), 1), np.float32)
    head = np.ascontiguousarray(rows[:, : min(row_bytes, 4)])
    return head.view("<f2" if row_bytes == 2 else "<f4").astype(np.float32)


def _half_table() -> Decode:
    """Return a function that looks halves up among numpy's values of all 65536, faster than numpy converts them."""
    table = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)

    def decode(data: Bytes, values: Values) -> None:
        bits = data.view("<u2")
        for start in range(0, len(bits), _WEIGHTS):
            part = slice(start, start + _WEIGHTS)
            np.take(table, bits[part], out=values[part], mode="clip")

    return decode


def _half_function() -> Decode | None:
    """Return ggml's conversion of halves, if this processor has the instructions it was compiled for."""
    function = _function("ggml_cpu_fp16_to_fp32")
    if function is None or not _processor_suits():
        return None
    convert, rest = _called(function), _half_table()

    def decode(data: Bytes, values: Values) -> None:
        whole = len(values) // _HALVES * _HALVES
        convert(data[: 2 * whole], values[:whole])
        rest(data[2 * whole :], values[whole:])

    return decode


def _processor_suits() -> bool:
    """Return whether this processor surely has the instructions that ggml's part for processors was compiled for."""
    if platform.machine() == "arm64":
        return True
    try:
        present = set(_PROCESSOR.read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return False
    uses = {name: _function(f"ggml_cpu_has_{name}") for name in _INSTRUCTIONS}
    return all(has and (not has() or _INSTRUCTIONS[name] in present) for name, has in uses.items())


def _block_function(kind: BlockType) -> Decode | None:
    """Return ggml's function, if the library has it and its blocks have the size that `gguf` states."""
    name = kind.name.lower()
    name = f"{name[:-1]}K" if name.endswith("_k") else name
    function = _function("ggml_bf16_to_fp32_row" if kind == GGMLType.BF16 else f"dequantize_row_{name}")
    sizes = [_function(size) for size in _SIZES]
    if kind.name not in _SAFE or function is None:
        return None
    stated = [size and size(ctypes.c_int(kind)) for size in sizes]
    layout = block_layout(kind)
    return _called(function) if stated == [layout.weights, layout.n_bytes] else None


def _function(name: str) -> Any:
    """Return a C function of ggml's library, None if there is none."""
    library = ggml_library()
    try:
        return None if library is None else library[name]  # a new object: its signature is nobody else's
    except AttributeError:
        return None


def _called(function: Any) -> Decode:
    """Wrap a C function of the addresses of bytes and values, and the number of values."""
    function.restype, function.argtypes = None, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]

    def decode(data: Bytes, values: Values) -> None:
        address = data.ctypes.data
        if address % 2:  # blocks hold 16-bit numbers, and compilers may rely on their alignment
            data = data.copy()
            address = data.ctypes.data
        function(address, values.ctypes.data, values.size)

    return decode


def _agree(exact: Decode, fast: Decode, kind: BlockType) -> bool:
    """Return whether two functions give the same values for random blocks, or for all numbers of 16 bits.

    Half of the blocks are mostly zeros, which makes scales zero, and random bytes make some scales infinite or not a
    number. All NaNs count as equal.
    """
    layout = block_layout(kind)
    block, size = layout.weights, layout.n_bytes
    if block == 1:
        data = np.arange(1 << 16, dtype="<u2").view(np.uint8)
    else:
        generator = np.random.default_rng(0)
        blocks = generator.integers(0, 256, (_CHECKED_BLOCKS, size), dtype=np.uint8)
        blocks[::2] *= generator.random(blocks[::2].shape, np.float32) < 0.25
        blocks[0], blocks[1] = 0, 255
        data = blocks.reshape(-1)
    expected, values = (np.empty(len(data) // size * block, np.float32) for _ in range(2))
    exact(data, expected)
    fast(data, values)
    same = expected.view(np.uint32) == values.view(np.uint32)
    return bool((same | (np.isnan(expected) & np.isnan(values))).all())
