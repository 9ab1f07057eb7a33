"""Quantized copies of tiny checkpoints in every format that is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tiny_checkpoints import edit_json
from weight_packers import (
    Arrays,
    Packer,
    awq,
    fp8,
    gptq,
    int8,
    llm_int8,
    mxfp4,
    mxfp8,
    nf4,
    nvfp4,
    packed_integers,
)


def _compressed(form: str, activations: int | None = None, **weights: Any) -> dict[str, Any]:
    given = None if activations is None else {"num_bits": activations}
    group = {"targets": ["Linear"], "weights": weights, "input_activations": given}
    return {"quant_method": "compressed-tensors", "format": form, "config_groups": {"group_0": group}}


_MODELOPT = (".weight", ".weight_scale", ".weight_scale_2")
_PACKED = (".weight_packed", ".weight_scale", ".weight_global_scale")
_FP8: dict[str, Any] = {"quant_method": "fp8", "activation_scheme": "dynamic"}
_GPTQ: dict[str, Any] = {"quant_method": "gptq", "bits": 4, "group_size": 64}
#: Format → quantization_config, packer, and the type's name.
FORMATS: Mapping[str, tuple[dict[str, Any], Packer, str]] = {
    "fp8 blocks": (_FP8 | {"weight_block_size": [128, 128]}, fp8("block", "scale_inv"), "FP8_E4M3"),
    "fp8 odd blocks": (
        _FP8 | {"weight_block_size": [48, 80]},
        fp8("block", "scale_inv", block=(48, 80)),
        "FP8_E4M3",
    ),
    "fp8 tensor": (_FP8, fp8("tensor", "scale"), "FP8_E4M3"),
    "fp8 e5m2": (_FP8, fp8("tensor", "scale_inv", torch.float8_e5m2), "FP8_E5M2"),
    "fbgemm": ({"quant_method": "fbgemm_fp8"}, fp8("row", "scale"), "FP8_E4M3"),
    "float-quantized": (_compressed("float-quantized", 8), fp8("row", "scale"), "FP8_E4M3"),
    "float-quantized blocks": (
        _compressed("float-quantized", 8, block_structure=[64, 32]),
        fp8("block", "scale", block=(64, 32)),
        "FP8_E4M3",
    ),
    "naive-quantized": (_compressed("naive-quantized"), int8(), "INT8"),
    "int-quantized": (_compressed("int-quantized", 8), int8(), "INT8"),
    "int-quantized zeros": (_compressed("int-quantized", 8), int8(zeros=True), "INT8"),
    "mxfp8-quantized": (_compressed("mxfp8-quantized", 8), mxfp8, "MXFP8"),
    "pack-quantized": (_compressed("pack-quantized"), packed_integers(4, 128), "INT4"),
    "pack-quantized channel": (_compressed("pack-quantized"), packed_integers(8, None), "INT8"),
    "pack-quantized 2": (_compressed("pack-quantized"), packed_integers(2, 32), "INT2"),
    "pack-quantized zeros": (_compressed("pack-quantized"), packed_integers(4, 32, zeros=True), "INT4"),
    "pack-quantized order": (
        _compressed("pack-quantized"),
        packed_integers(4, 64, zeros=True, order=True),
        "INT4",
    ),
    "nvfp4-pack-quantized": (_compressed("nvfp4-pack-quantized", 4), nvfp4(_PACKED, divided=True), "NVFP4"),
    "mxfp4-pack-quantized": (_compressed("mxfp4-pack-quantized"), mxfp4, "MXFP4"),
    "modelopt nvfp4": (
        {"quant_method": "modelopt", "quant_algo": "NVFP4"},
        nvfp4(_MODELOPT, divided=False),
        "NVFP4",
    ),
    "modelopt fp8": (
        {"quant_method": "modelopt", "quant_algo": "FP8"},
        fp8("tensor", "scale"),
        "FP8_E4M3",
    ),
    "awq": ({"quant_method": "awq", "bits": 4, "version": "gemm"}, awq, "AWQ4"),
    "gptq": (_GPTQ, gptq(4), "GPTQ4"),
    "gptq order": (_GPTQ | {"desc_act": True}, gptq(4, order=True), "GPTQ4"),
    "gptq 2": (_GPTQ | {"bits": 2}, gptq(2), "GPTQ2"),
    "gptq 3": (_GPTQ | {"bits": 3}, gptq(3), "GPTQ3"),
    "gptq 8": (_GPTQ | {"bits": 8}, gptq(8), "GPTQ8"),
    "gptq_v2": (_GPTQ | {"checkpoint_format": "gptq_v2"}, gptq(4, second=True), "GPTQ4"),
    "bitsandbytes nf4": ({"quant_method": "bitsandbytes", "load_in_4bit": True}, nf4(False), "NF4"),
    "bitsandbytes nested": ({"quant_method": "bitsandbytes", "load_in_4bit": True}, nf4(True), "NF4"),
    "bitsandbytes int8": ({"quant_method": "bitsandbytes", "load_in_8bit": True}, llm_int8, "INT8"),
}


def quantize_folder(folder: Path, form: str, *, exact: bool = False, seed: int = 0) -> Arrays:
    """Replace the matrices of a checkpoint's second layer by quantized ones; return their values by name.

    Args:
        folder: a checkpoint with one file of weights.
        form: a key of `FORMATS`.
        exact: write the values as float32, not quantized.
        seed: of the random codes.
    """
    settings, pack, _ = FORMATS[form]
    stored = load_file(folder / "model.safetensors")
    generator = torch.Generator().manual_seed(seed)
    values: Arrays = {}
    for name in sorted(stored):
        if not name.endswith("_proj.weight") or ".layers.0." in name:
            continue
        arrays, values[name] = pack(*stored.pop(name).shape, generator)
        stem = name.removesuffix(".weight")
        written = {".weight": values[name]} if exact else arrays
        stored |= {stem + ending: array.contiguous() for ending, array in written.items()}
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    if not exact:
        edit_json(folder / "config.json", quantization_config=settings)
    return values
