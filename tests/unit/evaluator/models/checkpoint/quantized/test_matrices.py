"""Single weights and stacked experts, without a folder around them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors
from weight_packers import packed_integers

from evaluator.models.checkpoint.quantized.methods import Quantization, read_parameters
from evaluator.models.checkpoint.safetensors_file import open_safetensors
from evaluator.models.checkpoint.tensor_bytes import values_of
from evaluator.models.json_file import JsonFile
from evaluator.models.tensor_types import CheckpointType


def test_blocks_that_stack_experts_are_those_of_transformers(tmp_path):
    generator = torch.Generator().manual_seed(1)
    blocks = torch.randint(0, 256, (3, 40, 4, 16), generator=generator).to(torch.uint8)
    scales = torch.randint(100, 130, (3, 40, 4), generator=generator).to(torch.uint8)
    arrays = {
        "e.gate_up_proj_blocks": blocks,
        "e.gate_up_proj_scales": scales,
        "e.gate_up_proj_bias": torch.ones(3, 40),
    }
    save_file(arrays, tmp_path / "m.safetensors")
    file = open_safetensors(tmp_path / "m.safetensors")
    quantization = Quantization("mxfp4", JsonFile(tmp_path, {}))
    parameters = read_parameters(dict.fromkeys(file.directory, file), quantization)
    assert parameters.keys() == {"e.gate_up_proj", "e.gate_up_proj_bias"}
    weight = parameters["e.gate_up_proj"]
    assert (weight.info.shape, weight.info.ggml_type) == ((3, 40, 128), CheckpointType.MXFP4)
    assert weight.info.bits_per_weight == 4.25
    expected = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32).transpose(1, 2)
    np.testing.assert_array_equal(values_of(weight), expected)
    rows = np.array([119, 40, 0, 41])
    np.testing.assert_array_equal(weight.source.decode(rows), expected.reshape(120, 128)[rows])


@pytest.mark.parametrize("scale", [(), (3,), (3, 1, 1), (3, 256), (3, 256, 1), (3, 2, 1)])
def test_stacked_8_bit_floats_have_scales_of_any_grid(tmp_path, scale):
    generator = torch.Generator().manual_seed(1)
    codes = torch.randn(3, 256, 96, generator=generator).to(torch.float8_e4m3fn)
    scales = torch.rand(scale, generator=generator)
    save_file({"e.down_proj": codes, "e.down_proj_scale_inv": scales}, tmp_path / "m.safetensors")
    file = open_safetensors(tmp_path / "m.safetensors")
    quantization = Quantization("fp8", JsonFile(tmp_path, {"weight_block_size": [128, 128]}))
    weight = read_parameters(dict.fromkeys(file.directory, file), quantization)["e.down_proj"]
    over = scales if scale != (3, 2, 1) else scales.repeat_interleave(128, 1)
    over = over.reshape(*over.shape, *(1,) * (3 - over.dim())) if over.dim() else over
    np.testing.assert_array_equal(values_of(weight), codes.float() * over)


@pytest.mark.parametrize("zeros", [False, True])
def test_packed_rows_and_columns_need_not_fill_words(tmp_path, zeros):
    arrays, values = packed_integers(4, None, zeros=zeros)(13, 37, torch.Generator().manual_seed(2))
    save_file({f"w{ending}": array for ending, array in arrays.items()}, tmp_path / "m.safetensors")
    file = open_safetensors(tmp_path / "m.safetensors")
    quantization = Quantization("compressed-tensors", JsonFile(tmp_path, {}))
    weight = read_parameters(dict.fromkeys(file.directory, file), quantization)["w.weight"]
    np.testing.assert_array_equal(values_of(weight), values)
    np.testing.assert_array_equal(weight.source.decode(np.array([12, 3])), values[[12, 3]])
