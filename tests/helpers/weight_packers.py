"""Quantized weights, packed in torch by the rules that each method publishes.

Each packer makes the arrays of one weight from random codes, and its values with torch's own arithmetic.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

Arrays = dict[str, torch.Tensor]
#: From shape and generator to arrays by their ending after `….q_proj`, and the values, float32 [rows, columns].
Packer = Callable[[int, int, torch.Generator], tuple[Arrays, torch.Tensor]]

E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])
#: Table of QLoRA's paper, appendix E.
NF4 = torch.tensor(
    [
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635),
        *(-0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725),
        *(0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941),
        *(0.7229568362236023, 1.0),
    ]
)


def _codes(bits: int, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    return torch.randint(0, 1 << bits, shape, generator=generator)


def _scales(shape: tuple[int, ...], generator: torch.Generator, size: float = 0.01) -> torch.Tensor:
    return size * (0.5 + torch.rand(shape, generator=generator))


def packed_words(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """Write the codes of each row one after another, lowest bit first, and cut the result into int32 words."""
    stored = codes.numpy().astype(np.uint8)[:, :, None]
    stream = np.unpackbits(stored, axis=2, bitorder="little")[:, :, :bits].reshape(len(stored), -1)
    padded = np.pad(stream, ((0, 0), (0, -stream.shape[1] % 32)))
    return torch.from_numpy(np.packbits(padded, axis=1, bitorder="little").view(np.int32))


def _bytes_of_pairs(codes: torch.Tensor) -> torch.Tensor:
    return (codes[..., 0::2] | codes[..., 1::2] << 4).to(torch.uint8)


def fp8(
    grid: str, suffix: str, dtype: torch.dtype = torch.float8_e4m3fn, block: tuple[int, int] = (128, 128)
) -> Packer:
    """Return a packer of 8-bit floats with one scale, one per row, or one per block."""

    def pack(rows: int, columns: int, generator: torch.Generator) -> tuple[Arrays, torch.Tensor]:
        codes = (torch.randn(rows, columns, generator=generator) * 4).to(dtype)
        shapes = {"tensor": (), "row": (rows, 1), "block": (-(-rows // block[0]), -(-columns // block[1]))}
        scale = _scales(shapes[grid], generator)
        over = scale
        if grid == "block":
            over = scale.repeat_interleave(block[0], 0)[:rows].repeat_interleave(block[1], 1)[:, :columns]
        return {".weight": codes, f".weight_{suffix}": scale}, codes.float() * over

    return pack


def mxfp8(rows: int, columns: int, generator: torch.Generator) -> tuple[Arrays, torch.Tensor]:
    """Pack 8-bit floats with a power of two for 32 of them."""
    codes = torch.randn(rows, columns, generator=generator).to(torch.float8_e4m3fn)
    scale = torch.randint(118, 123, (rows, columns // 32), generator=generator)
    over = (2.0 ** (scale - 127).double()).float().repeat_interleave(32, 1)
    return {".weight": codes, ".weight_scale": scale.to(torch.uint8)}, codes.float() * over


def int8(zeros: bool = False) -> Packer:
    """Return a packer of 8-bit integers with a bfloat16 scale per row."""

    def pack(rows: int, columns: int, generator: torch.Generator) -> tuple[Arrays, torch.Tensor]:
        codes = _codes(8, (rows, columns), generator) - 128
        scale = _scales((rows, 1), generator, 0.001).bfloat16()
        arrays = {".weight": codes.to(torch.int8), ".weight_scale": scale}
        if not zeros:
            return arrays, codes.float() * scale.float()
        zero = _codes(6, (rows, 1), generator) - 32
        return arrays | {".weight_zero_point": zero.to(torch.int8)}, (codes - zero).float() * scale.float()

    return pack


def packed_integers(bits: int, group: int | None, *, zeros: bool = False, order: bool = False) -> Packer:
    """Return a packer of pack-quantized; without a group there is a scale per row."""

    def pack(rows: int, columns: int, generator: torch.Generator) -> tuple[Arrays, torch.Tensor]:
        groups = 1 if group is None else columns // group
        codes = _codes(bits, (rows, columns), generator)
        scale = _scales((rows, groups), generator).bfloat16()
        of = torch.arange(columns) // (columns // groups)
        arrays = {
            ".weight_packed": packed_words(codes, bits),
            ".weight_shape": torch.tensor([rows, columns]),
            ".weight_scale": scale,
        }
        if order:
            of = of[torch.randperm(columns, generator=generator)]
            arrays[".weight_g_idx"] = of.to(torch.int32)
        zero = torch.full((rows, groups), 1 << (bits - 1))
        if zeros:
            zero = _codes(bits, (rows, groups), generator)
            arrays[".weight_zero_point"] = packed_words(zero.T, bits).T.contiguous()
        return arrays, (codes - zero[:, of]).float() * scale[:, of].float()

    return pack


def gptq(bits: int, *, second: bool = False, order: bool = False) -> Packer:
    """Return a packer of GPTQ with groups of 64; the first version of the format stores zero points less 1."""

    def pack(rows: int, columns: int, generator: torch.Generator) -> tuple[Arrays, torch.Tensor]:
        groups, less = columns // 64, 0 if second else 1
        codes = _codes(bits, (rows, columns), generator)
        zero = torch.randint(less, 1 << bits, (rows, groups), generator=generator)
        scale = _scales((rows, groups), generator).half()
        of = torch.arange(columns) // 64
        if order:
            of = of[torch.randperm(columns, generator=generator)]
        arrays = {
            ".qweight": packed_words(codes, bits).T.contiguous(),
            ".qzeros": packed_words(zero.T - less, bits).contiguous(),
            ".scales": scale.T.contiguous(),
            ".g_idx": of.to(torch.int32),
        }
        return arrays, (codes - zero[:, of]).float() * scale[:, of].float()

    return pack


def awq(rows: int, columns: int, generator: torch.Generator) -> tuple[Arrays, torch.Tensor]:
    """Pack with groups of 64 as AutoAWQ does: code i of a word is that of row 0 2 4 6 1 3 5 7."""

    def words(codes: torch.Tensor) -> torch.Tensor:
        ordered = codes.reshape(len(codes), -1, 8)[:, :, [0, 2, 4, 6, 1, 3, 5, 7]]
        return packed_words(ordered.reshape(len(codes), -1), 4)

    groups = columns // 64
    codes, zero = _codes(4, (columns, rows), generator), _codes(4, (groups, rows), generator)
    scale = _scales((groups, rows), generator).half()
    values = (codes - zero.repeat_interleave(64, 0)).float() * scale.float().repeat_interleave(64, 0)
    return {".qweight": words(codes), ".qzeros": words(zero), ".scales": scale}, values.T.contiguous()


def nvfp4(names: tuple[str, str, str], *, divided: bool) -> Packer:
    """Return a packer of NVFP4, whose scales are divided or multiplied by the tensor's."""

    def pack(rows: int, columns: int, generator: torch.Generator) -> tuple[Arrays, torch.Tensor]:
        codes = _codes(4, (rows, columns), generator)
        scale = _scales((rows, columns // 16), generator, 8.0).to(torch.float8_e4m3fn)
        whole = torch.tensor([640.3 if divided else 0.0013])
        factors = scale.float() / whole if divided else scale.float() * whole
        arrays = dict(zip(names, (_bytes_of_pairs(codes), scale, whole), strict=True))
        return arrays, E2M1[codes] * factors.repeat_interleave(16, 1)

    return pack


def mxfp4(rows: int, columns: int, generator: torch.Generator) -> tuple[Arrays, torch.Tensor]:
    """Pack MXFP4 of compressed-tensors; transformers decodes it for gpt-oss."""
    packed = _codes(8, (rows, columns // 2), generator).to(torch.uint8)
    scale = torch.randint(118, 123, (rows, columns // 32), generator=generator).to(torch.uint8)
    values = convert_moe_packed_tensors(
        packed.reshape(1, rows, -1, 16), scale[None], dtype=torch.float32
    )  # [1, columns, rows]
    return {".weight_packed": packed, ".weight_scale": scale}, values[0].T.contiguous()


def nf4(nested: bool) -> Packer:
    """Return a packer of bitsandbytes: blocks of 64 codes, upper half of a byte first."""

    def pack(rows: int, columns: int, generator: torch.Generator) -> tuple[Arrays, torch.Tensor]:
        codes = _codes(4, (rows * columns,), generator)
        state: dict[str, Any] = {"quant_type": "nf4", "blocksize": 64, "shape": [rows, columns]}
        largest = _scales((rows * columns // 64,), generator, 0.1)
        arrays = {
            ".weight": (codes[0::2] << 4 | codes[1::2]).to(torch.uint8)[:, None],
            ".weight.quant_map": NF4.clone(),
            ".weight.absmax": largest,
        }
        if nested:
            table = torch.linspace(-1, 1, 256)
            inner = _codes(8, largest.shape, generator)
            outer = _scales((-(-len(inner) // 256),), generator, 0.05)
            state |= {"nested_blocksize": 256, "nested_offset": 0.07}
            largest = table[inner] * outer.repeat_interleave(256)[: len(inner)] + torch.tensor(0.07)
            arrays |= {
                ".weight.absmax": inner.to(torch.uint8),
                ".weight.nested_quant_map": table,
                ".weight.nested_absmax": outer,
            }
        text = json.dumps(state).encode()
        arrays[".weight.quant_state.bitsandbytes__nf4"] = torch.tensor(list(text), dtype=torch.uint8)
        return arrays, (NF4[codes] * largest.repeat_interleave(64)).reshape(rows, columns)

    return pack


def llm_int8(rows: int, columns: int, generator: torch.Generator) -> tuple[Arrays, torch.Tensor]:
    """Pack bitsandbytes' 8-bit integers, whose scale is the largest magnitude of the row."""
    codes, largest = _codes(8, (rows, columns), generator) - 128, _scales((rows,), generator, 0.2)
    arrays = {
        ".weight": codes.to(torch.int8),
        ".SCB": largest,
        ".weight_format": torch.tensor(0).to(torch.uint8),
    }
    return arrays, codes.float() * (largest / 127)[:, None]
