"""Pack IQ4_NL, IQ4_XS, MXFP4: 4-bit numbers that look up one of sixteen small integers."""

from __future__ import annotations

import numpy as np
from gguf import GGMLQuantizationType as GGMLType

from evaluator.export.packing.formats import PACKINGS, Bytes, Packed, blocks_of, centred, halves, nibbles

#: The formats' entries as signed bytes, indexed by the 4-bit number.
_NON_LINEAR = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.int8)
_E2M1_DOUBLED = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.int8)


def _looked_up(numbers: Bytes, book: np.ndarray) -> Bytes:
    """Return codes, uint8 [rows, columns], for 4-bit numbers [rows, blocks, columns per block]."""
    return centred(book, 8)[numbers].reshape(numbers.shape[0], -1)


@PACKINGS.register("IQ4_NL")
def pack_iq4_nl(raw: Bytes) -> Packed:
    """Pack into 8 bits."""
    blocks = blocks_of(raw, GGMLType.IQ4_NL)
    return Packed(
        8, 32, _looked_up(nibbles(blocks[..., 2:], 16), _NON_LINEAR), halves(blocks[..., :2])[..., 0]
    )


@PACKINGS.register("IQ4_XS")
def pack_iq4_xs(raw: Bytes) -> Packed:
    """Pack into 8 bits; eight 6-bit scales have their four low bits in 4 bytes, the two high bits in 2 bytes."""
    blocks = blocks_of(raw, GGMLType.IQ4_XS)
    low = nibbles(blocks[..., 4:8, None], 1).reshape(*blocks.shape[:2], 8)
    shifts = np.arange(0, 16, 2, dtype=np.uint16)
    high = (np.ascontiguousarray(blocks[..., 2:4]).view("<u2") >> shifts) & np.uint16(3)
    small = (low | (high.astype(np.uint8) << np.uint8(4))).view(np.int8) - np.int8(32)
    scales = halves(blocks[..., :2]).astype(np.float32) * small.astype(np.float32)
    codes = _looked_up(nibbles(blocks[..., 8:], 16), _NON_LINEAR)
    return Packed(8, 32, codes, scales.reshape(len(scales), -1))


@PACKINGS.register("MXFP4")
def pack_mxfp4(raw: Bytes) -> Packed:
    """Pack into 8 bits; the scale is a power of two, halved because the entries are doubled."""
    blocks = blocks_of(raw, GGMLType.MXFP4)
    scales = np.ldexp(np.float32(1), blocks[..., 0].astype(np.int32) - 128)
    return Packed(8, 32, _looked_up(nibbles(blocks[..., 1:], 16), _E2M1_DOUBLED), scales)
