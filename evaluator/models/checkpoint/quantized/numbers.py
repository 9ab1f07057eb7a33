"""The values of small floating-point numbers, and of codes that are packed into words."""

from __future__ import annotations

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
        values: Values = EIGHT_BITS[kind][numbers]
        return values
    if kind == "BF16":
        return (numbers.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return numbers.astype(np.float32)


def nibbles(packed: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the two codes of each byte, the lower half first: uint8 [rows, 2 × bytes]."""
    both = np.stack([packed & np.uint8(15), packed >> np.uint8(4)], axis=-1)
    return both.reshape(len(packed), -1)


def codes_in(words: Numbers, bits: int, count: int) -> npt.NDArray[np.uint8]:
    """Return the first codes of each row of words, from the lowest bit of the first word on.

    Args:
        words: 32-bit integers [rows, words], little-endian.
        bits: of a code, 1 to 8; codes of 3, 5, 6 and 7 bits may lie in two words.
        count: codes per row.

    Returns:
        uint8 [rows, count].
    """
    if _WORD % bits:
        return codes_at(words, np.arange(count) * bits, bits)
    shifts = np.arange(0, _WORD, bits, dtype=np.uint32)
    spread = (words.astype("<u4")[:, :, None] >> shifts).astype(np.uint8) & np.uint8((1 << bits) - 1)
    return spread.reshape(len(words), -1)[:, :count]


def codes_at(words: Numbers, positions: npt.NDArray[np.integer[Any]], bits: int) -> npt.NDArray[np.uint8]:
    """Return the codes that begin at given bits of each row of words: uint8 [rows, positions]."""
    unsigned = words.astype("<u4").astype(np.uint64)
    first, shift = positions // _WORD, (positions % _WORD).astype(np.uint64)
    second = np.minimum(first + 1, words.shape[1] - 1)
    both = unsigned[:, first] | unsigned[:, second] << np.uint64(_WORD)
    return (both >> shift).astype(np.uint8) & np.uint8((1 << bits) - 1)
