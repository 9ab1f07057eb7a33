"""Pack a GGUF tensor type as the integers and scales that onnxruntime's kernels multiply with.

There is one module per family of types; types are registered by their GGML names. A packing holds the same values in
another arrangement: weight = scale × (code − zero), where zero is the middle of the code range (the default of
`MatMulNBits`, so it is not stored), plus an offset per block for types that have minima. Each type uses the fastest
container that holds it exactly; docs/packed.md has the timings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import gguf
import numpy as np
import numpy.typing as npt

from evaluator.support.registry import Registry

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
#: float16 where the file's scales are float16, to keep the artifact small; else float32.
Scales = npt.NDArray[np.float16] | Floats


@dataclass(frozen=True)
class Packed:
    """A matrix in the form that `MatMulNBits` uses, but with one code per byte.

    Attributes:
        bits: width of the container: 2, 4 or 8.
        block: weights per scale: 16, 32, 64, 128 or 256.
        codes: uint8 [rows, columns], below 2**bits.
        scales: float16 or float32 [rows, columns / block].
        offset_block: weights per offset.
        offsets: float32 [rows, columns / offset_block], added to every weight of a block; None without offsets.
    """

    bits: int
    block: int
    codes: Bytes
    scales: Scales
    offset_block: int = 0
    offsets: Floats | None = None

    @property
    def zero(self) -> int:
        """The code that stands for zero."""
        return int(1 << (self.bits - 1))

    @property
    def form(self) -> tuple[object, ...]:
        """The properties that matrices must share to be stacked."""
        return self.bits, self.block, self.scales.dtype, self.offset_block, self.codes.shape[1]

    def layout(self) -> Bytes:
        """Return codes as `MatMulNBits` stores them: uint8 [rows, blocks, block × bits / 8], first code lowest."""
        rows, columns = self.codes.shape
        per_byte = 8 // self.bits
        groups = self.codes.reshape(rows, columns // per_byte, per_byte)
        packed = groups[..., 0].copy() if per_byte > 1 else groups[..., 0]
        for place in range(1, per_byte):
            packed |= groups[..., place] << np.uint8(place * self.bits)
        return packed.reshape(rows, columns // self.block, -1)

    def rows(self, chosen: slice) -> Packed:
        """Return some of the rows."""
        offsets = None if self.offsets is None else self.offsets[chosen]
        return replace(self, codes=self.codes[chosen], scales=self.scales[chosen], offsets=offsets)

    def values(self) -> Floats:
        """Return the weights, float32 [rows, columns]."""
        rows, columns = self.codes.shape
        steps = self.codes.astype(np.float32) - np.float32(self.zero)
        values = steps.reshape(rows, -1, self.block) * self.scales.astype(np.float32)[..., None]
        if self.offsets is not None:
            values = values.reshape(rows, -1, self.offset_block) + self.offsets[..., None]
        return values.reshape(rows, columns)


def stacked(parts: Sequence[Packed]) -> Packed:
    """Stack the rows of matrices of one form."""
    first = parts[0]
    offsets = [part.offsets for part in parts if part.offsets is not None]
    return Packed(
        first.bits,
        first.block,
        np.concatenate([part.codes for part in parts]),
        np.concatenate([part.scales for part in parts]),
        first.offset_block,
        np.concatenate(offsets) if offsets else None,
    )


#: Pack whole rows from their bytes, uint8 [rows, bytes per row].
Pack = Callable[[Bytes], Packed]

PACKINGS: Registry[Pack] = Registry("packing", __name__)


def blocks_of(raw: Bytes, ggml_type: gguf.GGMLQuantizationType) -> Bytes:
    """Split rows of bytes into blocks of the type: uint8 [rows, blocks, bytes per block]."""
    return raw.reshape(raw.shape[0], -1, gguf.GGML_QUANT_SIZES[ggml_type][1])


def halves(columns: Bytes) -> npt.NDArray[np.float16]:
    """Read bytes [..., 2 n] as float16 [..., n]."""
    return np.ascontiguousarray(columns).view("<f2")


def centred(steps: npt.NDArray[np.int8] | Bytes, bits: int) -> Bytes:
    """Turn integers in −2**(bits−1) … 2**(bits−1) − 1 into codes: zero becomes the middle of the range."""
    return steps.view(np.uint8) + np.uint8(1 << (bits - 1))


def nibbles(columns: Bytes, run: int) -> Bytes:
    """Unpack 4-bit numbers, `run` bytes at a time: the low halves, then the high ones; uint8 [..., 2 n]."""
    runs = columns.reshape(*columns.shape[:-1], -1, 1, run)
    both = np.concatenate([runs & np.uint8(15), runs >> np.uint8(4)], axis=-2)
    return both.reshape(*columns.shape[:-1], -1)


def bit_pairs(columns: Bytes, run: int) -> Bytes:
    """Unpack 2-bit numbers, `run` bytes at a time, in four runs from low to high bits; uint8 [..., 4 n]."""
    runs = columns.reshape(*columns.shape[:-1], -1, 1, run)
    shifts = np.arange(0, 8, 2, dtype=np.uint8)[:, None]
    return ((runs >> shifts) & np.uint8(3)).reshape(*columns.shape[:-1], -1)


def single_bits(columns: Bytes, run: int) -> Bytes:
    """Unpack bits, `run` bytes at a time, in eight runs from low to high; uint8 [..., 8 n]."""
    runs = columns.reshape(*columns.shape[:-1], -1, 1, run)
    shifts = np.arange(8, dtype=np.uint8)[:, None]
    return ((runs >> shifts) & np.uint8(1)).reshape(*columns.shape[:-1], -1)
