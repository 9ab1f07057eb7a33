"""Blocks of ik_llama.cpp's types, and of types of llama.cpp that `gguf` cannot decode, in numpy.

A function here turns blocks, uint8 [blocks, bytes], and the scale of each block's row, float32 [blocks, 1], into
values, float32 [blocks, weights]. Rows of types without such a scale get 1. Products are rounded to float32 in the
order that ik_llama.cpp's `dequantize_row_*` multiplies: scale of the row or block × small scale, then × code's value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as GGMLType

from evaluator.models.tensor_types import BlockType, FurtherType

Bytes = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]
Codes = npt.NDArray[np.integer]
DecodeBlocks = Callable[[Bytes, Values], Values]

#: Values of codes. A block or sub-block uses the first half of a table, or the second if its bit is set.
_TWO = np.array([-31, -13, 1, 17, -26, -8, 6, 22], np.float32)
_THREE = np.array([-63, -40, -23, -10, 1, 13, 28, 47, -59, -36, -19, -6, 5, 17, 32, 51], np.float32)
_FOUR = np.array(
    [
        *(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113),
        *(-123, -100, -79, -61, -45, -31, -18, -6, 5, 17, 29, 42, 57, 73, 93, 117),
    ],
    np.float32,
)
_FIVE = np.array(
    [
        *(-126, -114, -103, -92, -83, -74, -65, -57, -50, -43, -36, -30, -24, -18, -12, -6),
        *(-1, 5, 11, 17, 23, 29, 36, 43, 51, 59, 68, 77, 87, 97, 109, 121),
        *(-124, -112, -101, -90, -81, -72, -63, -55, -48, -41, -34, -28, -22, -16, -10, -4),
        *(1, 7, 13, 19, 25, 31, 38, 45, 53, 61, 70, 79, 89, 99, 111, 123),
    ],
    np.float32,
)
#: Pairs of values that IQ2_KL's codes of five bits mean.
_PAIRS = np.array(
    [
        *((-63, -23), (-63, 13), (-40, -63), (-40, -10), (-40, 13), (-40, 47), (-23, -40), (-23, -23)),
        *((-23, 1), (-23, 13), (-23, 28), (-10, -63), (-10, 1), (-10, 13), (-10, 47), (1, -23)),
        *((1, -10), (1, 1), (1, 13), (1, 28), (13, -40), (13, -23), (13, -10), (13, 1)),
        *((13, 13), (28, -63), (28, -23), (28, 1), (28, 28), (28, 47), (47, -23), (47, 13)),
    ],
    np.float32,
)
#: Coefficients of the polynomial that gives the values of IQ6_K's codes.
_SIX = tuple(np.float32(number) for number in (-127, 6.2568, -0.11218, 0.0011972))
_MULTIPLIER = 0xCBAC1FED
_FIRST = 4096


def _half(blocks: Bytes) -> Values:
    """Return the half-precision scale at the beginning of each block."""
    return np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)


def _bits(numbers: Bytes, count: int) -> Codes:
    """Return the first bits of each row of bytes, lowest first: [blocks, count]."""
    return np.unpackbits(numbers, axis=1, count=count, bitorder="little").astype(np.int16)


def _pairs_of_bits(numbers: Bytes) -> Codes:
    """Return the pairs of bits of each row of bytes, lowest first: [blocks, 4 × bytes]."""
    both = numbers[:, :, None] >> np.arange(0, 8, 2, dtype=np.uint8) & np.uint8(3)
    return both.reshape(len(numbers), -1).astype(np.int16)


def _nibbles(numbers: Bytes) -> Codes:
    """Return the halves of bytes, lower first: [blocks, 2 × bytes]."""
    both = np.stack([numbers & np.uint8(15), numbers >> np.uint8(4)], axis=-1)
    return both.reshape(len(numbers), -1).astype(np.int16)


def _halves_of(numbers: Bytes, width: int) -> Codes:
    """Return codes of which `width` bytes hold 2 × `width`, first all lower halves, then all upper ones."""
    parts = numbers.reshape(len(numbers), -1, 1, width)
    both = np.concatenate([parts & np.uint8(15), parts >> np.uint8(4)], axis=2)
    return both.reshape(len(numbers), -1).astype(np.int16)


def _quarters_of(numbers: Bytes, width: int = 32) -> Codes:
    """Return codes of which `width` bytes hold 4 × `width`, first those of the lowest two bits."""
    parts = numbers.reshape(len(numbers), -1, 1, width)
    shifts = np.arange(0, 8, 2, dtype=np.uint8)[:, None]
    return (parts >> shifts & np.uint8(3)).reshape(len(numbers), -1).astype(np.int16)


def _eighths_of(numbers: Bytes) -> Codes:
    """Return the bits of bytes, first the lowest of all: [blocks, 8 × bytes]."""
    shifts = np.arange(8, dtype=np.uint8)[:, None]
    return (numbers[:, None, :] >> shifts & np.uint8(1)).reshape(len(numbers), -1).astype(np.int16)


def _of_table(table: Values, codes: Codes, second: Codes, scales: Values) -> Values:
    """Return scale × value of each code; each of `scales` and `second` is for equally many codes."""
    blocks, parts = scales.shape
    grouped = codes.reshape(blocks, parts, -1)
    chosen = second.reshape(blocks, parts, 1) * np.int16(len(table) // 2)
    return (scales[:, :, None] * table[grouped + chosen]).reshape(blocks, -1)


def _iq2_k(blocks: Bytes, _: Values) -> Values:
    scales = _half(blocks) * (_nibbles(blocks[:, 4:12]) - 8).astype(np.float32)
    return _of_table(_TWO, _quarters_of(blocks[:, 12:]), _bits(blocks[:, 2:4], 16), scales)


def _iq3_k(blocks: Bytes, _: Values) -> Values:
    small = (2 * _nibbles(blocks[:, 6:14]) + 1) * (1 - 2 * _bits(blocks[:, 4:6], 16))
    codes = _quarters_of(blocks[:, 14:78]) | _eighths_of(blocks[:, 78:]) << 2
    return _of_table(_THREE, codes, _bits(blocks[:, 2:4], 16), _half(blocks) * small.astype(np.float32))


def _six_bit_scales(blocks: Bytes) -> Values:
    """Return the scales of IQ4_K and IQ5_K: two bits of each at byte 4, four at byte 8."""
    small = (_nibbles(blocks[:, 8:16]) | _pairs_of_bits(blocks[:, 4:8]) << 4) - 32
    return _half(blocks) * small.astype(np.float32)


def _iq4_k(blocks: Bytes, _: Values) -> Values:
    codes = _halves_of(blocks[:, 16:], 16)
    return _of_table(_FOUR, codes, _bits(blocks[:, 2:4], 16), _six_bit_scales(blocks))


def _iq5_k(blocks: Bytes, _: Values) -> Values:
    codes = _halves_of(blocks[:, 16:144], 32) | _eighths_of(blocks[:, 144:]) << 4
    return _of_table(_FIVE, codes, _bits(blocks[:, 2:4], 16), _six_bit_scales(blocks))


def _iq6_k(blocks: Bytes, _: Values) -> Values:
    scales = _half(blocks) * blocks[:, 4:20].view(np.int8).astype(np.float32)
    codes = (_halves_of(blocks[:, 20:148], 32) | _quarters_of(blocks[:, 148:]) << 4).astype(np.float32)
    a, b, c, d = _SIX
    values = (a + codes * (b + codes * (c + codes * d))).astype(np.float32).reshape(len(blocks), 16, 16)
    values += _bits(blocks[:, 2:4], 16)[:, :, None].astype(np.float32)
    return (scales[:, :, None] * values).reshape(len(blocks), -1)


def _iq2_ks(blocks: Bytes, row: Values) -> Values:
    extra = _bits(blocks[:, :2], 16)
    small = (_nibbles(blocks[:, 2:6]) | extra[:, 8:] << 4) - 16
    return _of_table(_TWO, _quarters_of(blocks[:, 6:]), extra[:, :8], row * small.astype(np.float32))


def _iq3_ks(blocks: Bytes, row: Values) -> Values:
    extra = _bits(blocks[:, :2], 16)
    small = (_halves_of(blocks[:, 2:6], 4) | extra[:, :8] << 4) - 16
    codes = _quarters_of(blocks[:, 6:70]) | _eighths_of(blocks[:, 70:]) << 2
    return _of_table(_THREE, codes, extra[:, 8:], row * small.astype(np.float32))


def _seven_bit_scales(numbers: Codes, row: Values) -> tuple[Codes, Values]:
    """Return the bit that chooses the table, and the scales, of bytes that hold both."""
    return numbers & 1, row * ((numbers & 254) - 127).astype(np.float32)


def _iq4_ks(blocks: Bytes, row: Values) -> Values:
    second, scales = _seven_bit_scales(blocks[:, :8].astype(np.int16), row)
    return _of_table(_FOUR, _halves_of(blocks[:, 8:], 16), second, scales)


def _iq4_kss(blocks: Bytes, row: Values) -> Values:
    """Decode 15 bits of each 16-bit word as four codes that were stored by their differences, and one of scales."""
    words = np.ascontiguousarray(blocks).view("<u2")
    kept = words & np.uint16(0xFFFE)
    codes = _halves_of((kept ^ kept >> np.uint16(1)).view(np.uint8), 16)
    bits = (words & np.uint16(1)).reshape(len(blocks), 8, 8).astype(np.int16)
    second, scales = _seven_bit_scales(
        (bits << np.arange(8, dtype=np.int16)).sum(axis=2, dtype=np.int16), row
    )
    return _of_table(_FOUR, codes, second, scales)


def _iq5_ks(blocks: Bytes, row: Values) -> Values:
    second, scales = _seven_bit_scales(blocks[:, :8].astype(np.int16), row)
    codes = _halves_of(blocks[:, 8:136], 32) | _eighths_of(blocks[:, 136:]) << 4
    return _of_table(_FIVE, codes, second, scales)


def _iq2_kl(blocks: Bytes, row: Values) -> Values:
    small = (_halves_of(blocks[:, 2:6], 4) | _pairs_of_bits(blocks[:, :2]) << 4) - 32
    codes = _halves_of(blocks[:, 6:70], 16) | _eighths_of(blocks[:, 70:]) << 4
    values: Values = _PAIRS[codes].reshape(len(blocks), 8, 32)
    scales = row * small.astype(np.float32)
    return (scales[:, :, None] * values).reshape(len(blocks), -1)


@cache
def _trellis(steps: int) -> Values:
    """Return the values that follow each of 65536 states, float32 [states, steps].

    Each step multiplies the state modulo 2^32; its value is the sum of the lower six bits of its bytes, less 126.
    """
    state = np.arange(1 << 16, dtype=np.uint32) + np.uint32(_FIRST)
    values = np.empty((len(state), steps), np.float32)
    for step in range(steps):
        state = state * np.uint32(_MULTIPLIER)
        sixths = state[:, None] >> np.arange(0, 32, 8, dtype=np.uint32) & np.uint32(0x3F)
        values[:, step] = sixths.sum(axis=1, dtype=np.int32) - 126
    return values


def _on_trellis(states: Codes, steps: int, scales: Values) -> Values:
    blocks, parts = scales.shape
    values: Values = _trellis(steps)[states].reshape(blocks, parts, -1)
    return (scales[:, :, None] * values).reshape(blocks, -1)


def _words(numbers: Bytes) -> npt.NDArray[np.uint16]:
    return np.ascontiguousarray(numbers).view("<u2")


def _four_bit_scales(numbers: Bytes, row: Values) -> Values:
    scales: Values = row * _FOUR[_halves_of(numbers, 4)]
    return scales


def _iq1_kt(blocks: Bytes, row: Values) -> Values:
    first = blocks[:, :8].astype(np.int32)
    thirteenth = first[:, :, None] << (8 - np.arange(4)) & 0x1000
    states = blocks[:, 8:40].astype(np.int32) | _halves_of(blocks[:, 40:], 16).astype(np.int32) << 8
    scales = row * _FOUR[first & 15]
    return _on_trellis(states | thirteenth.reshape(len(blocks), -1), 8, scales)


def _iq2_kt(blocks: Bytes, row: Values) -> Values:
    return _on_trellis(_words(blocks[:, 4:]), 8, _four_bit_scales(blocks[:, :4], row))


def _iq3_kt(blocks: Bytes, row: Values) -> Values:
    scales = row * _halves_of(blocks[:, :4], 4).astype(np.float32)
    values = np.abs(_trellis(8)[_words(blocks[:, 4:68])]).reshape(len(blocks), 8, -1)
    signs = (1 - 2 * _eighths_of(blocks[:, 68:])).astype(np.float32)
    return (scales[:, :, None] * values).reshape(len(blocks), -1) * signs


def _iq4_kt(blocks: Bytes, row: Values) -> Values:
    first = np.ascontiguousarray(blocks[:, :32]).view("<u4").astype(np.int64)
    upper = (first[:, :, None] >> (8 + 3 * np.arange(8)) & 7) << 12 | (first[:, :, None] & 1) << 15
    states = blocks[:, 32:96].astype(np.int64) | _halves_of(blocks[:, 96:], 32).astype(np.int64) << 8
    scales = row * ((first & 0xFF) // 2 - 64).astype(np.float32)
    return _on_trellis(states | upper.reshape(len(blocks), -1), 4, scales)


def _q1_0(blocks: Bytes, _: Values) -> Values:
    return _half(blocks) * (2 * _bits(blocks[:, 2:], 128) - 1).astype(np.float32)


def _q2_0(blocks: Bytes, _: Values) -> Values:
    return _half(blocks) * (_pairs_of_bits(blocks[:, 2:]) - 1).astype(np.float32)


def _q6_0(blocks: Bytes, _: Values) -> Values:
    upper = _quarters_of(blocks[:, 2:10], 8).reshape(-1, 2, 2, 8).swapaxes(1, 2).reshape(len(blocks), -1)
    return _half(blocks) * ((_halves_of(blocks[:, 10:], 16) | upper << 4) - 32).astype(np.float32)


def _q8_k(blocks: Bytes, _: Values) -> Values:
    scales = np.ascontiguousarray(blocks[:, :4]).view("<f4")
    return scales * blocks[:, 4:260].view(np.int8).astype(np.float32)


def _q8_kv(blocks: Bytes, row: Values) -> Values:
    return row * np.ascontiguousarray(blocks).view(np.int8).astype(np.float32)


DECODERS: Mapping[BlockType, DecodeBlocks] = {
    GGMLType.Q1_0: _q1_0,
    GGMLType.Q8_K: _q8_k,
    FurtherType.Q2_0: _q2_0,
    FurtherType.Q6_0: _q6_0,
    FurtherType.IQ2_K: _iq2_k,
    FurtherType.IQ3_K: _iq3_k,
    FurtherType.IQ4_K: _iq4_k,
    FurtherType.IQ5_K: _iq5_k,
    FurtherType.IQ6_K: _iq6_k,
    FurtherType.IQ2_KS: _iq2_ks,
    FurtherType.IQ3_KS: _iq3_ks,
    FurtherType.IQ4_KS: _iq4_ks,
    FurtherType.IQ5_KS: _iq5_ks,
    FurtherType.IQ4_KSS: _iq4_kss,
    FurtherType.IQ2_KL: _iq2_kl,
    FurtherType.IQ1_KT: _iq1_kt,
    FurtherType.IQ2_KT: _iq2_kt,
    FurtherType.IQ3_KT: _iq3_kt,
    FurtherType.IQ4_KT: _iq4_kt,
    FurtherType.Q8_KV: _q8_kv,
}
