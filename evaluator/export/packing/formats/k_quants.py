"""Pack Q2_K to Q6_K: 256 weights with one or two float16 scales, in sub-blocks of 16 or 32 with small scales."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as GGMLType

from evaluator.export.packing.formats import (
    PACKINGS,
    Bytes,
    Floats,
    Packed,
    bit_pairs,
    blocks_of,
    centred,
    halves,
    nibbles,
    single_bits,
)

_SUPER = 256


def _flat(codes: Bytes) -> Bytes:
    return codes.reshape(codes.shape[0], -1)


def _products(super_scales: npt.NDArray[np.float16], small: npt.NDArray[np.uint8 | np.int8]) -> Floats:
    """Multiply float16 [rows, blocks, 1] by small numbers [rows, blocks, n], exactly: float32 [rows, blocks × n]."""
    products: Floats = super_scales.astype(np.float32) * small.astype(np.float32)
    return products.reshape(products.shape[0], -1)


def _scales_and_minima(packed: Bytes) -> tuple[Bytes, Bytes]:
    """Unpack eight 6-bit scales and eight 6-bit minima from 12 bytes: uint8 [..., 8] each.

    The first four of each are the low six bits of bytes 0–3 and 4–7. The last four have their low four bits in bytes
    8–11 (scales low, minima high) and their top two in the top bits of the first four's bytes.
    """
    first, second, third = packed[..., 0:4], packed[..., 4:8], packed[..., 8:12]
    top = np.uint8(0x30)
    scales = [first & np.uint8(63), (third & np.uint8(15)) | ((first >> np.uint8(2)) & top)]
    minima = [second & np.uint8(63), (third >> np.uint8(4)) | ((second >> np.uint8(2)) & top)]
    return np.concatenate(scales, axis=-1), np.concatenate(minima, axis=-1)


def _signed_six_bits(packed: Bytes) -> npt.NDArray[np.int8]:
    """Unpack Q3_K's sixteen scales in −32 … 31 from 12 bytes: four low bits in bytes 0–7, two high bits in 8–11."""
    low = nibbles(packed[..., :8], 8)
    high = bit_pairs(packed[..., 8:], 4)
    return (low | (high << np.uint8(4))).view(np.int8) - np.int8(32)


@PACKINGS.register("Q2_K")
def pack_q2_k(raw: Bytes) -> Packed:
    """Pack into 8 bits: 2-bit number × 4-bit scale is an integer up to 45, so one float16 scales 256 of them."""
    blocks = blocks_of(raw, GGMLType.Q2_K)
    small, minima = blocks[..., :16] & np.uint8(15), blocks[..., :16] >> np.uint8(4)
    steps = bit_pairs(blocks[..., 16:80], 32).reshape(*small.shape, 16) * small[..., None]
    scales = halves(blocks[..., 80:82])
    offsets = -_products(halves(blocks[..., 82:84]), minima)
    return Packed(8, _SUPER, centred(_flat(steps), 8), scales[..., 0], 16, offsets)


@PACKINGS.register("Q3_K")
def pack_q3_k(raw: Bytes) -> Packed:
    """Pack into 8 bits: 3-bit number × 6-bit scale is in −124 … 128, so one float16, negated, scales 256 of them."""
    blocks = blocks_of(raw, GGMLType.Q3_K)
    # Where the mask's bit is set, 4 is not subtracted.
    steps = bit_pairs(blocks[..., 32:96], 32) | (single_bits(blocks[..., :32], 32) << np.uint8(2))
    small = -_signed_six_bits(blocks[..., 96:108])
    signed = (steps.view(np.int8) - np.int8(4)).reshape(*small.shape, 16) * small[..., None]
    return Packed(8, _SUPER, _flat(centred(signed, 8)), -halves(blocks[..., 108:110])[..., 0])


@PACKINGS.register("Q4_K")
def pack_q4_k(raw: Bytes) -> Packed:
    """Pack into 4 bits with offsets."""
    blocks = blocks_of(raw, GGMLType.Q4_K)
    small, minima = _scales_and_minima(blocks[..., 4:16])
    scales = _products(halves(blocks[..., :2]), small)
    offsets = np.float32(8) * scales - _products(halves(blocks[..., 2:4]), minima)
    return Packed(4, 32, _flat(nibbles(blocks[..., 16:], 32)), scales, 32, offsets)


@PACKINGS.register("Q5_K")
def pack_q5_k(raw: Bytes) -> Packed:
    """Pack into 8 bits with offsets."""
    blocks = blocks_of(raw, GGMLType.Q5_K)
    small, minima = _scales_and_minima(blocks[..., 4:16])
    steps = nibbles(blocks[..., 48:], 32) | (single_bits(blocks[..., 16:48], 32) << np.uint8(4))
    scales = _products(halves(blocks[..., :2]), small)
    offsets = np.float32(16) * scales - _products(halves(blocks[..., 2:4]), minima)
    return Packed(8, 32, centred(_flat(steps - np.uint8(16)), 8), scales, 32, offsets)


@PACKINGS.register("Q6_K")
def pack_q6_k(raw: Bytes) -> Packed:
    """Pack into 8 bits; the file's numbers are counted from 32."""
    blocks = blocks_of(raw, GGMLType.Q6_K)
    steps = nibbles(blocks[..., :128], 64) | (bit_pairs(blocks[..., 128:192], 32) << np.uint8(4))
    scales = _products(halves(blocks[..., 208:210]), blocks[..., 192:208].view(np.int8))
    return Packed(8, 16, centred(_flat(steps - np.uint8(32)), 8), scales)
