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
    Q6_0 = 133
    IQ2_K = 137
    IQ3_K = 138
    IQ4_K = 139
    IQ5_K = 140
    IQ6_K = 141
    IQ4_KS = 144
    IQ2_KS = 145
    IQ4_KSS = 146
    Q8_KV = 151
    IQ5_KS = 152
    IQ2_KT = 153
    IQ3_KT = 154
    IQ4_KT = 155
    IQ3_KS = 156
    IQ2_KL = 157
    IQ1_KT = 158


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
    FurtherType.Q6_0: BlockLayout(32, 26),
    FurtherType.IQ2_K: BlockLayout(256, 76),
    FurtherType.IQ3_K: BlockLayout(256, 110),
    FurtherType.IQ4_K: BlockLayout(256, 144),
    FurtherType.IQ5_K: BlockLayout(256, 176),
    FurtherType.IQ6_K: BlockLayout(256, 212),
    FurtherType.IQ4_KS: BlockLayout(256, 136, row_bytes=4),
    FurtherType.IQ2_KS: BlockLayout(256, 70, row_bytes=2),
    FurtherType.IQ4_KSS: BlockLayout(256, 128, row_bytes=4),
    FurtherType.Q8_KV: BlockLayout(32, 32, row_bytes=8),
    FurtherType.IQ5_KS: BlockLayout(256, 168, row_bytes=4),
    FurtherType.IQ2_KT: BlockLayout(256, 68, row_bytes=4),
    FurtherType.IQ3_KT: BlockLayout(256, 100, row_bytes=4),
    FurtherType.IQ4_KT: BlockLayout(256, 128, row_bytes=4),
    FurtherType.IQ3_KS: BlockLayout(256, 102, row_bytes=2),
    FurtherType.IQ2_KL: BlockLayout(256, 86, row_bytes=2),
    FurtherType.IQ1_KT: BlockLayout(256, 56, row_bytes=4),
}
#: Types of ik_llama.cpp that are not read. Those that end in R4, R8 or R16 interleave so many rows.
_UNREAD = {
    134: "IQ1_BN",
    135: "IQ2_BN",
    136: "Q8_K64",
    147: "Q8_K16",
    148: "Q8_K32",
    149: "Q8_KR8",
    150: "Q8_K128",
    202: "Q4_0_R8",
    206: "Q5_0_R4",
    208: "Q8_0_R8",
    210: "Q2_K_R4",
    211: "Q3_K_R4",
    212: "Q4_K_R4",
    213: "Q5_K_R4",
    214: "Q6_K_R4",
    216: "IQ2_XXS_R4",
    217: "IQ2_XS_R4",
    218: "IQ3_XXS_R4",
    219: "IQ1_S_R4",
    220: "IQ4_NL_R4",
    221: "IQ3_S_R4",
    222: "IQ2_S_R4",
    223: "IQ4_XS_R8",
    229: "IQ1_M_R4",
    230: "BF16_R16",
    233: "Q6_0_R4",
    335: "IQ2_BN_R4",
    337: "IQ2_K_R4",
    338: "IQ3_K_R4",
    339: "IQ4_K_R4",
    340: "IQ5_K_R4",
    344: "IQ4_KS_R4",
    352: "IQ5_KS_R4",
    353: "MXFP4_R8",
    397: "Q8_K_R16",
    398: "Q8_KV_R8",
    399: "Q8_K_R8",
}
#: Types that llama.cpp removed, and BitNet's number, which was IQ4_NL_4_4 before.
_REMOVED = {
    4: "Q4_2",
    5: "Q4_3",
    31: "Q4_0_4_4",
    32: "Q4_0_4_8",
    33: "Q4_0_8_8",
    37: "IQ4_NL_4_8",
    38: "IQ4_NL_8_8",
}
_AMBIGUOUS = {36: "I2_S of BitNet or llama.cpp's former IQ4_NL_4_4"}


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
    if number in _UNREAD:
        reason = (
            "which is not read here; ik_llama.cpp reads it, and its llama-quantize makes other types of it"
        )
        raise ValueError(f"is stored as {_UNREAD[number]} (type {number} of ik_llama.cpp), {reason}")
    if number in _REMOVED:
        reason = "which llama.cpp removed; make the file again from the original model"
        raise ValueError(f"is stored as {_REMOVED[number]} (type {number}), {reason}")
    if number in _AMBIGUOUS:
        reason = "which is not read here; bitnet.cpp and ik_llama.cpp read the former"
        raise ValueError(f"is stored as type {number}, {_AMBIGUOUS[number]}, {reason}")
    raise ValueError(f"has unknown type number {number}")


def written_type(kind: TensorType) -> GGMLType:
    """Return the type in which a GGUF file can hold a tensor that stays as it is: F32 if GGUF lacks its type."""
    return kind if isinstance(kind, GGMLType) else GGMLType.F32
