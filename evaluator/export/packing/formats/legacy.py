"""Pack Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: blocks of 32 weights, with a float16 scale and in `_1` types a minimum."""

from __future__ import annotations

import numpy as np
from gguf import GGMLQuantizationType as GGMLType

from evaluator.export.packing.formats import (
    PACKINGS,
    Bytes,
    Floats,
    Packed,
    Scales,
    blocks_of,
    centred,
    halves,
    nibbles,
)

_BLOCK = 32


def _five_bits(high: Bytes, low: Bytes) -> Bytes:
    """Combine fifth bits (32 in 4 bytes) with nibbles: uint8 [..., 32] in 0 … 31."""
    fifth = np.unpackbits(high, axis=-1, bitorder="little")
    fifth <<= np.uint8(4)
    fifth |= nibbles(low, 16)
    return fifth


def _flat(codes: Bytes) -> Bytes:
    return codes.reshape(codes.shape[0], -1)


def _offsets(minima: Scales, scales: Scales, middle: int) -> Floats:
    """Move minima to the middle of the type's range, from which codes are counted."""
    offsets: Floats = minima.astype(np.float32) + np.float32(middle) * scales.astype(np.float32)
    return offsets


@PACKINGS.register("Q4_0")
def pack_q4_0(raw: Bytes) -> Packed:
    """Pack into 4 bits; the file's numbers are already counted from 8."""
    blocks = blocks_of(raw, GGMLType.Q4_0)
    return Packed(4, _BLOCK, _flat(nibbles(blocks[..., 2:], 16)), halves(blocks[..., :2])[..., 0])


@PACKINGS.register("Q4_1")
def pack_q4_1(raw: Bytes) -> Packed:
    """Pack into 4 bits with offsets."""
    blocks = blocks_of(raw, GGMLType.Q4_1)
    scales, minima = halves(blocks[..., :2])[..., 0], halves(blocks[..., 2:4])[..., 0]
    codes = _flat(nibbles(blocks[..., 4:], 16))
    return Packed(4, _BLOCK, codes, scales, _BLOCK, _offsets(minima, scales, 8))


@PACKINGS.register("Q5_0")
def pack_q5_0(raw: Bytes) -> Packed:
    """Pack into 8 bits; the file's numbers are counted from 16."""
    blocks = blocks_of(raw, GGMLType.Q5_0)
    codes = centred(_five_bits(blocks[..., 2:6], blocks[..., 6:]) - np.uint8(16), 8)
    return Packed(8, _BLOCK, _flat(codes), halves(blocks[..., :2])[..., 0])


@PACKINGS.register("Q5_1")
def pack_q5_1(raw: Bytes) -> Packed:
    """Pack into 8 bits with offsets."""
    blocks = blocks_of(raw, GGMLType.Q5_1)
    scales, minima = halves(blocks[..., :2])[..., 0], halves(blocks[..., 2:4])[..., 0]
    codes = centred(_five_bits(blocks[..., 4:8], blocks[..., 8:]) - np.uint8(16), 8)
    return Packed(8, _BLOCK, _flat(codes), scales, _BLOCK, _offsets(minima, scales, 16))


@PACKINGS.register("Q8_0")
def pack_q8_0(raw: Bytes) -> Packed:
    """Pack into 8 bits; the file's numbers are signed."""
    blocks = blocks_of(raw, GGMLType.Q8_0)
    return Packed(8, _BLOCK, _flat(centred(blocks[..., 2:], 8)), halves(blocks[..., :2])[..., 0])
