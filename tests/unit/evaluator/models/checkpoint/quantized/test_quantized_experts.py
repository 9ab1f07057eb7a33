"""Stacks of quantized experts, and blocks of gpt-oss, hold the values that torch computes from the same arrays."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_logits import logits_of_graph
from safetensors.torch import load_file, save_file
from tiny_checkpoints import random_model, save_checkpoint
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from evaluator.models.sources.open_model import open_model

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "num_experts_per_tok": 2,
}
EXPERTS = {"num_experts": 6, "moe_intermediate_size": 32, "norm_topk_prob": True}


def fp8(name, values, generator):
    """Return arrays of a quantized expert's matrix, and its values."""
    codes = (torch.randn(values.shape, generator=generator) * 4).to(torch.float8_e4m3fn)
    scale = 0.01 * (0.5 + torch.rand((), generator=generator))
    return {name: codes, f"{name}_scale_inv": scale}, codes.float() * scale


def mxfp4(name, values, generator):
    """Return blocks and scales of the experts' matrices, and their values in the order of transformers."""
    experts, columns, rows = values.shape
    groups = (experts, rows, columns // 32)
    blocks = torch.randint(0, 256, (*groups, 16), generator=generator).to(torch.uint8)
    scales = torch.randint(120, 124, groups, generator=generator).to(torch.uint8)
    exact = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    return {f"{name}_blocks": blocks, f"{name}_scales": scales}, exact.contiguous()


CASES = {
    "fp8": ("qwen3_moe", EXPERTS, fp8, ("gate_proj.weight", "up_proj.weight", "down_proj.weight")),
    "mxfp4": ("gpt_oss", {"num_local_experts": 6}, mxfp4, ("gate_up_proj", "down_proj")),
}


@pytest.mark.parametrize("method", CASES)
def test_quantized_experts_compute_what_their_exact_values_compute(tmp_path, method):
    model_type, settings, pack, endings = CASES[method]
    folder = save_checkpoint(random_model(model_type, **SIZES, **settings), tmp_path / "quantized")
    exact = Path(shutil.copytree(folder, tmp_path / "exact"))
    generator, arrays, values = torch.Generator().manual_seed(1), {}, {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        if ".mlp.experts." in name and name.endswith(endings):
            packed, values[name] = pack(name, tensor, generator)
            arrays |= packed
        else:
            arrays[name] = values[name] = tensor
    save_file(arrays, folder / "model.safetensors")
    save_file(values, exact / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": method}
    (folder / "config.json").write_text(json.dumps(config))
    quantized, whole = open_model(folder), open_model(exact)
    for role in ("gate", "up", "down"):
        name = f"blk.1.ffn_{role}_exps.weight"
        expected = whole.dequantize(name)
        np.testing.assert_array_equal(quantized.dequantize(name), expected)
        np.testing.assert_array_equal(quantized.matrix(name, 3), expected[3])
        np.testing.assert_array_equal(
            quantized.gathered_rows(name, np.array([70, 5])),
            expected.reshape(-1, expected.shape[-1])[[70, 5]],
        )
        assert quantized.tensors[name].ggml_type.name == {"fp8": "FP8_E4M3", "mxfp4": "MXFP4"}[method]
    np.testing.assert_array_equal(logits_of_graph(folder), logits_of_graph(exact))
