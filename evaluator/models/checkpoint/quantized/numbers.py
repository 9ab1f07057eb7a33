"""The values of small floating-point numbers, and of codes that are packed into words."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32]
Numbers = npt.NDArray[Any]
_WORD = 32


def _float_table(exponent_bits: int, mantissa_bits: int, *, bias: int) -> Values:
    """Return the finite value of every code of a sign, an exponent and a mantissa."""
    codes = np.arange(1 << (1 + exponent_bits + mantissa_bits))
    mantissa = codes % (1 << mantissa_bits)
    exponent = (codes >> mantissa_bits) % (1 << exponent_bits)
    whole = mantissa + np.where(exponent > 0, 1 << mantissa_bits, 0)
    magnitude = np.ldexp(whole.astype(np.float64), np.maximum(exponent, 1) - bias - mantissa_bits)
    signed: Values = np.where(codes >> (exponent_bits + mantissa_bits), -magnitude, magnitude).astype(
        np.float32
    )
    return signed


def _e4m3() -> Values:
    table = _float_table(4, 3, bias=7)
    table[[0x7F, 0xFF]] = np.nan  # there is no infinity
    return table


def _e5m2() -> Values:
    table = _float_table(5, 2, bias=15)
    for sign in (0, 0x80):
        table[sign + 0x7C] = -np.inf if sign else np.inf
        table[sign + 0x7D : sign + 0x80] = np.nan
    return table


def _e8m0() -> Values:
    table = np.full(256, np.nan, np.float32)
    table[:255] = np.ldexp(1.0, np.arange(255) - 127)
    return table


#: Values of the 16 codes of four-bit floats: a sign, two bits of exponent, one of mantissa.
E2M1 = _float_table(2, 1, bias=1)
E8M0 = _e8m0()
#: Safetensors' name of a type of eight bits → values of its 256 codes.
EIGHT_BITS = {"F8_E4M3": _e4m3(), "F8_E5M2": _e5m2(), "F8_E8M0": E8M0}


def as_float32(kind: str, numbers: Numbers) -> Values:
    """Return the values of numbers of a safetensors type, as `StoredArray.numbers` returns them."""
    if kind in EIGHT_BITS:
        values: Values = np.take(EIGHT_BITS[kind], numbers, mode="clip")
        return values
    if kind == "BF16":
        return (numbers.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return numbers.astype(np.float32)


@functools.cache
def _values_in_bytes(bits: int) -> Values:
    """Return the codes in every byte as numbers, from the lowest bit on: float32 [256, codes per byte]."""
    codes = np.arange(256)[:, None] >> np.arange(0, 8, bits) & (1 << bits) - 1
    return codes.astype(np.float32)


@functools.cache
def _pairs(table_bytes: bytes) -> Values:
    """Return the values of the two codes of four bits in every byte, the lower first: float32 [256, 2]."""
    table, codes = np.frombuffer(table_bytes, np.float32), np.arange(256)
    return np.stack([table[codes & 15], table[codes >> 4]], axis=1)


def nibble_values(table: Values, packed: npt.NDArray[np.uint8]) -> Values:
    """Return the table's values of the two codes in each byte, the lower first: float32 [rows, 2 × bytes]."""
    return np.take(_pairs(table.tobytes()), packed, axis=0, mode="clip").reshape(len(packed), -1)


def codes_in(words: Numbers, bits: int, count: int) -> Values:
    """Return the first codes of each row of words, from the lowest bit of the first word on.

    Args:
        words: 32-bit integers [rows, words], little-endian.
        bits: of a code, 1 to 8; codes of 3, 5, 6 and 7 bits may lie in two words.
        count: codes per row.

    Returns:
        float32 [rows, count].
    """
    if _WORD % bits:
        return codes_at(words, np.arange(count) * bits, bits).astype(np.float32)
    data = np.ascontiguousarray(words, "<i4").view(np.uint8)
    if bits == 8:
        return data[:, :count].astype(np.float32)
    return np.take(_values_in_bytes(bits), data, axis=0, mode="clip").reshape(len(words), -1)[:, :count]


def codes_at(words: Numbers, positions: npt.NDArray[np.integer[Any]], bits: int) -> npt.NDArray[np.uint8]:
    """Return the codes that begin at given bits of each row of words: uint8 [rows, positions]."""
    unsigned = words.astype("<u4").astype(np.uint64)
    first, shift = positions // _WORD, (positions % _WORD).astype(np.uint64)
    second = np.minimum(first + 1, words.shape[1] - 1)
    both = unsigned[:, first] | unsigned[:, second] << np.uint64(_WORD)
    return (both >> shift).astype(np.uint8) & np.uint8((1 << bits) - 1)
