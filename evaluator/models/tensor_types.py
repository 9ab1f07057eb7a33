"""Types of tensors: those that `gguf` lists, those that GGUF files have besides, and those of quantized checkpoints.

This module alone knows the numbers, names and block sizes of types that `gguf` lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum, auto
from typing import TypeAlias

import gguf
from gguf import GGMLQuantizationType as GGMLType


class FurtherType(IntEnum):
    """Types of GGUF files that `gguf` does not list, with their numbers: llama.cpp's, then ik_llama.cpp's."""

    Q2_0 = 42


class CheckpointType(StrEnum):
    """Types of tensors in quantized checkpoints, whose codes and scales lie in several tensors of the files.

    The number in a name is the bits of a code. How many weights share a scale differs from checkpoint to checkpoint,
    so only a tensor's `n_bytes` says what it takes.
    """

    FP8_E4M3 = auto()
    FP8_E5M2 = auto()
    MXFP8 = auto()
    NVFP4 = auto()
    MXFP4 = auto()
    INT2 = auto()
    INT4 = auto()
    INT8 = auto()
    AWQ4 = auto()
    GPTQ2 = auto()
    GPTQ3 = auto()
    GPTQ4 = auto()
    GPTQ8 = auto()
    NF4 = auto()
    FP4 = auto()


#: Types of GGUF files.
BlockType: TypeAlias = GGMLType | FurtherType
TensorType: TypeAlias = BlockType | CheckpointType


@dataclass(frozen=True)
class BlockLayout:
    """Weights and bytes per block, and bytes at the beginning of each row that belong to no block."""

    weights: int
    n_bytes: int
    row_bytes: int = 0

    def bytes_of_row(self, columns: int) -> int:
        """Return the bytes of a row, whose columns are whole blocks."""
        return self.row_bytes + columns // self.weights * self.n_bytes

    def columns_of(self, n_bytes: int) -> int:
        """Return the columns of a row of so many bytes."""
        return (n_bytes - self.row_bytes) // self.n_bytes * self.weights


_LAYOUTS = {
    FurtherType.Q2_0: BlockLayout(64, 18),
}


def block_layout(kind: BlockType) -> BlockLayout:
    """Return how a type of GGUF files divides rows into blocks."""
    return _LAYOUTS[kind] if isinstance(kind, FurtherType) else BlockLayout(*gguf.GGML_QUANT_SIZES[kind])


def block_type(number: int) -> BlockType:
    """Return the type that a number in a GGUF file means.

    Raises:
        ValueError: it is not read; the message says what it is and what reads it.
    """
    for types in (GGMLType, FurtherType):
        if number in types.__members__.values():
            return types(number)
    raise ValueError(f"has unknown type number {number}")


def written_type(kind: TensorType) -> GGMLType:
    """Return the type in which a GGUF file can hold a tensor that stays as it is: F32 if GGUF lacks its type."""
    return kind if isinstance(kind, GGMLType) else GGMLType.F32
