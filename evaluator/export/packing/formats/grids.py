"""Pack IQ1, IQ2 and IQ3, TQ1_0, TQ2_0, NVFP4: numbers from large tables, all small integers times a scale.

Only the scales are read from the bytes. The integers are the dequantized weights divided by the scales: float32 holds
both exactly, so rounding the quotient gives the integer exactly.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
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
from evaluator.models.dequantize import dequantize_rows

#: Blocks of 256 two-bit codes have no fast kernel, so a scale of 256 weights is stored twice.
_TERNARY_BLOCK = 128


def _divided(raw: Bytes, ggml_type: GGMLType, scales: Scales, bits: int) -> Packed:
    """Pack rows, given their scales [rows, blocks]; where a scale is zero, the code is zero's."""
    rows, n_blocks = scales.shape
    values = dequantize_rows(raw, ggml_type).reshape(rows, n_blocks, -1)
    divisors = np.where(scales == 0, np.inf, scales.astype(np.float32))[..., None]
    steps = np.rint(values / divisors).astype(np.int8)
    return Packed(bits, values.shape[-1], centred(steps, bits).reshape(rows, -1), scales)


def _words(columns: Bytes, dtype: str) -> npt.NDArray[np.uint32 | np.uint16]:
    return np.ascontiguousarray(columns).view(dtype)


def _scaled(raw: Bytes, ggml_type: GGMLType, small: npt.NDArray[np.generic], unit: float) -> Packed:
    """Pack into 8 bits with scale = leading float16 × (2 × small number + 1) × unit; small [rows, blocks, n]."""
    blocks = blocks_of(raw, ggml_type)
    factors = (2 * small.astype(np.float32) + 1) * np.float32(unit)
    scales = halves(blocks[..., :2]).astype(np.float32) * factors
    return _divided(raw, ggml_type, scales.reshape(len(scales), -1), 8)


@PACKINGS.register("IQ2_XXS")
def pack_iq2_xxs(raw: Bytes) -> Packed:
    """Pack entries 8, 25, 43; the top bits of every second word scale 32 weights."""
    words = _words(blocks_of(raw, GGMLType.IQ2_XXS)[..., 2:], "<u4")
    return _scaled(raw, GGMLType.IQ2_XXS, words[..., 1::2] >> np.uint32(28), 0.125)


@PACKINGS.register("IQ2_XS")
def pack_iq2_xs(raw: Bytes) -> Packed:
    """Pack entries 8, 25, 43; each nibble scales 16 weights."""
    return _scaled(raw, GGMLType.IQ2_XS, nibbles(blocks_of(raw, GGMLType.IQ2_XS)[..., 66:], 1), 0.125)


@PACKINGS.register("IQ2_S")
def pack_iq2_s(raw: Bytes) -> Packed:
    """Pack entries 8, 25, 43; each nibble scales 16 weights."""
    return _scaled(raw, GGMLType.IQ2_S, nibbles(blocks_of(raw, GGMLType.IQ2_S)[..., 74:], 1), 0.125)


@PACKINGS.register("IQ3_XXS")
def pack_iq3_xxs(raw: Bytes) -> Packed:
    """Pack entries 4, 12, … 62; the top bits of a word scale 32 weights."""
    words = _words(blocks_of(raw, GGMLType.IQ3_XXS)[..., 66:], "<u4")
    return _scaled(raw, GGMLType.IQ3_XXS, words >> np.uint32(28), 0.25)


@PACKINGS.register("IQ3_S")
def pack_iq3_s(raw: Bytes) -> Packed:
    """Pack odd entries up to 15; each nibble scales 32 weights."""
    return _scaled(raw, GGMLType.IQ3_S, nibbles(blocks_of(raw, GGMLType.IQ3_S)[..., 106:], 1), 1)


@PACKINGS.register("IQ1_S")
def pack_iq1_s(raw: Bytes) -> Packed:
    """Pack −1, 0, 1, shifted by one eighth up or down, in eighths; three bits of a word scale 32 weights."""
    words = _words(blocks_of(raw, GGMLType.IQ1_S)[..., 34:], "<u2")
    return _scaled(raw, GGMLType.IQ1_S, (words >> np.uint16(12)) & np.uint16(7), 0.125)


@PACKINGS.register("IQ1_M")
def pack_iq1_m(raw: Bytes) -> Packed:
    """Pack eighths as in IQ1_S; four words have four 3-bit scales of 16 weights each, and a float16 in their tops."""
    words = _words(blocks_of(raw, GGMLType.IQ1_M)[..., 48:], "<u2")
    tops = (words >> np.uint16(12)) << np.arange(0, 16, 4, dtype=np.uint16)
    half = np.bitwise_or.reduce(tops, axis=-1).view("<f2").astype(np.float32)
    small = (words[..., None] >> np.arange(0, 12, 3, dtype=np.uint16)) & np.uint16(7)
    factors = (2 * small.astype(np.float32) + 1) * np.float32(0.125)
    scales: Floats = half[..., None] * factors.reshape(*half.shape, -1)
    return _divided(raw, GGMLType.IQ1_M, scales.reshape(len(scales), -1), 8)


@PACKINGS.register("NVFP4")
def pack_nvfp4(raw: Bytes) -> Packed:
    """Pack doubled entries into 8 bits; an unsigned 8-bit float (4 exponent, 3 mantissa bits), halved, scales 16."""
    small = blocks_of(raw, GGMLType.NVFP4)[..., :4]
    exponent, mantissa = (
        (small >> np.uint8(3)).astype(np.int32) & 15,
        (small & np.uint8(7)).astype(np.float32),
    )
    significand = np.where(exponent == 0, mantissa / 8, 1 + mantissa / 8).astype(np.float32)
    scales = np.ldexp(significand, np.maximum(exponent, 1) - 8)
    scales = np.where(small == 0x7F, np.float32(0), scales)
    return _divided(raw, GGMLType.NVFP4, scales.reshape(len(scales), -1), 8)


def _ternary(raw: Bytes, ggml_type: GGMLType) -> Packed:
    """Pack −1, 0, 1 (or 2, which no quantizer writes) into 2 bits, negated like the float16 at the block's end."""
    scales = -halves(blocks_of(raw, ggml_type)[..., -2:])[..., 0]
    return _divided(raw, ggml_type, np.repeat(scales, 256 // _TERNARY_BLOCK, axis=1), 2)


@PACKINGS.register("TQ1_0")
def pack_tq1_0(raw: Bytes) -> Packed:
    """Pack a type that stores five numbers per byte."""
    return _ternary(raw, GGMLType.TQ1_0)


@PACKINGS.register("TQ2_0")
def pack_tq2_0(raw: Bytes) -> Packed:
    """Pack a type that stores four numbers per byte."""
    return _ternary(raw, GGMLType.TQ2_0)
