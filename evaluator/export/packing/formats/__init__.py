"""Pack a GGUF tensor type as the integers and scales that onnxruntime's kernels multiply with.

One file per family of types, each type found by its GGML name. A packing says what the type's bytes say, in
another arrangement: weight = scale × (code − zero), where zero is the middle of the code range (the one that
`MatMulNBits` implies, so none is stored), plus an offset per block for types that have minima. Which container
a type goes to is the fastest one that holds it exactly; docs/packed.md has the timings.
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
#: float16 where the file holds halves, so that the artifact is no larger than it has to be; else float32.
Scales = npt.NDArray[np.float16] | Floats


@dataclass(frozen=True)
class Packed:
    """A matrix in the form that `MatMulNBits` takes, its codes not yet laid several to a byte.

    Attributes:
        bits: width of the container: 2, 4 or 8.
        block: weights per scale: 16, 32, 64, 128 or 256.
        codes: uint8 [rows, columns], below 2**bits.
        scales: float16 or float32 [rows, columns / block].
        offset_block: weights per offset.
        offsets: float32 [rows, columns / offset_block], added to every weight of a block; None: no offsets.
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
        """What two matrices need to have in common to be one."""
        return self.bits, self.block, self.scales.dtype, self.offset_block, self.codes.shape[1]

    def layout(self) -> Bytes:
        """Codes as `MatMulNBits` wants them: uint8 [rows, blocks, block × bits / 8], the first code lowest."""
        rows, columns = self.codes.shape
        per_byte = 8 // self.bits
        shares = self.codes.reshape(rows, columns // per_byte, per_byte)
        laid = shares[..., 0].copy() if per_byte > 1 else shares[..., 0]
        for place in range(1, per_byte):
            laid |= shares[..., place] << np.uint8(place * self.bits)
        return laid.reshape(rows, columns // self.block, -1)

    def rows(self, chosen: slice) -> Packed:
        """Some of the rows."""
        offsets = None if self.offsets is None else self.offsets[chosen]
        return replace(self, codes=self.codes[chosen], scales=self.scales[chosen], offsets=offsets)

    def values(self) -> Floats:
        """The weights that the container holds, float32 [rows, columns]."""
        rows, columns = self.codes.shape
        steps = self.codes.astype(np.float32) - np.float32(self.zero)
        values = steps.reshape(rows, -1, self.block) * self.scales.astype(np.float32)[..., None]
        if self.offsets is not None:
            values = values.reshape(rows, -1, self.offset_block) + self.offsets[..., None]
        return values.reshape(rows, columns)


def stacked(parts: Sequence[Packed]) -> Packed:
    """Matrices of one form as one, the rows of the first above those of the next."""
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


#: Bytes of whole rows, uint8 [rows, bytes per row], to the packed rows.
Pack = Callable[[Bytes], Packed]

PACKINGS: Registry[Pack] = Registry("packing", __name__)


def blocks_of(raw: Bytes, ggml_type: gguf.GGMLQuantizationType) -> Bytes:
    """Rows of bytes as blocks of the type: uint8 [rows, blocks, bytes per block]."""
    return raw.reshape(raw.shape[0], -1, gguf.GGML_QUANT_SIZES[ggml_type][1])


def halves(columns: Bytes) -> npt.NDArray[np.float16]:
    """Bytes [..., 2 n] as the float16 [..., n] they hold."""
    return np.ascontiguousarray(columns).view("<f2")


def centred(steps: npt.NDArray[np.int8] | Bytes, bits: int) -> Bytes:
    """Whole numbers in −2**(bits−1) … 2**(bits−1) − 1 as codes: zero becomes the middle of the range."""
    return steps.view(np.uint8) + np.uint8(1 << (bits - 1))


def nibbles(columns: Bytes, run: int) -> Bytes:
    """4-bit numbers, `run` bytes at a time: their low halves, then their high halves; uint8 [..., 2 n]."""
    runs = columns.reshape(*columns.shape[:-1], -1, 1, run)
    both = np.concatenate([runs & np.uint8(15), runs >> np.uint8(4)], axis=-2)
    return both.reshape(*columns.shape[:-1], -1)


def bit_pairs(columns: Bytes, run: int) -> Bytes:
    """2-bit numbers, `run` bytes at a time: four runs of `run` numbers from low to high; uint8 [..., 4 n]."""
    runs = columns.reshape(*columns.shape[:-1], -1, 1, run)
    shifts = np.arange(0, 8, 2, dtype=np.uint8)[:, None]
    return ((runs >> shifts) & np.uint8(3)).reshape(*columns.shape[:-1], -1)


def single_bits(columns: Bytes, run: int) -> Bytes:
    """Bits, `run` bytes at a time: eight runs of `run` bits from low to high; uint8 [..., 8 n]."""
    runs = columns.reshape(*columns.shape[:-1], -1, 1, run)
    shifts = np.arange(8, dtype=np.uint8)[:, None]
    return ((runs >> shifts) & np.uint8(1)).reshape(*columns.shape[:-1], -1)
