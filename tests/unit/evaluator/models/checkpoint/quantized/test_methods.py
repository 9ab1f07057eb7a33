"""Methods and arrays that are not read are one line; arrays beside weights are left out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from quantized_checkpoints import FORMATS, quantize_folder
from safetensors.torch import load_file, save_file
from tiny_checkpoints import edit_json, random_model, save_checkpoint

from evaluator.models.checkpoint.quantized.methods import METHODS
from evaluator.models.sources.open_model import open_model
from evaluator.support.errors import SourceError

STEM = "model.layers.1.mlp.up_proj"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = random_model("llama", tie_word_embeddings=True)
    return save_checkpoint(model, tmp_path_factory.mktemp("models") / "Tiny-Llama")


@pytest.fixture
def folder(saved, tmp_path):
    """Return a copy to quantize and damage."""
    return Path(shutil.copytree(saved, tmp_path / "Tiny"))


def change(folder, **arrays):
    """Replace arrays of one weight; None removes one."""
    stored = load_file(folder / "model.safetensors") | {
        f"{STEM}.{name}": array for name, array in arrays.items()
    }
    kept = {name: array for name, array in stored.items() if array is not None}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def settings_of(form, **changes):
    return FORMATS[form][0] | changes


REFUSED_SETTINGS = {
    "unknown": ({"quant_method": "hqq"}, r"quant_method is 'hqq', which is not read; known: awq, .*mxfp4"),
    "no method": ({"bits": 4}, "quant_method is None"),
    "no text": ({"quant_method": ["awq"]}, r"quant_method is \['awq'\]"),
    "no object": (7, "quantization_config is 7, not an object"),
    "gemv": (settings_of("awq", version="gemv"), "version is 'gemv', not 'gemm'"),
    "awq bits": (settings_of("awq", bits=3), "bits is 3, not 4"),
    "marlin": (settings_of("gptq", checkpoint_format="marlin"), "checkpoint_format is 'marlin', not "),
    "sparse": (settings_of("naive-quantized", format="marlin-24"), "format is 'marlin-24', not "),
    "sparsity": (
        settings_of("naive-quantized", sparsity_config={"format": "sparse-24-bitmask"}),
        "format is 'sparse-24-bitmask'",
    ),
    "rotated": (
        settings_of("naive-quantized", transform_config={"config_groups": {"u": {}}}),
        "rotations of activations are not computed",
    ),
    "algorithm": (settings_of("modelopt fp8", quant_algo="W4A8_AWQ"), "quant_algo is 'W4A8_AWQ', not 'FP8'"),
    "groups": (settings_of("naive-quantized", config_groups=[1]), r"config_groups is \[1\], not an object"),
    "block": (settings_of("fp8 blocks", weight_block_size=[0, 5]), "weight_block_size is"),
}


@pytest.mark.parametrize("what", REFUSED_SETTINGS)
def test_settings_that_are_not_read_are_one_line(folder, what):
    settings, message = REFUSED_SETTINGS[what]
    quantize_folder(folder, "fp8 blocks")
    edit_json(folder / "config.json", quantization_config=settings)
    with pytest.raises(SourceError, match=message) as caught:
        open_model(folder)
    assert "\n" not in str(caught.value)


ONES = torch.ones
DAMAGED = {
    "no scale": ("fp8 blocks", {"weight_scale_inv": None}, "up_proj.weight_scale is missing, which"),
    "scale shape": ("fp8 blocks", {"weight_scale_inv": ONES(3, 2)}, r"of shape \[3, 2\] does not fit"),
    "scale type": ("fp8 blocks", {"weight_scale_inv": ONES(4, 2).to(torch.int32)}, "is stored as I32"),
    "zero shape": (
        "int-quantized zeros",
        {"weight_zero_point": ONES(5, 1).to(torch.int8)},
        r"\[5, 1\] does not",
    ),
    "packed shape": ("pack-quantized", {"weight_shape": torch.tensor([512, 300])}, "does not hold a weight"),
    "packed dims": ("pack-quantized", {"weight_shape": torch.tensor([512])}, "does not hold a weight"),
    "huge shape": ("pack-quantized", {"weight_shape": torch.tensor([1 << 62, -8])}, "does not hold a weight"),
    "packed zeros": (
        "pack-quantized zeros",
        {"weight_zero_point": ONES(1, 8).to(torch.int32)},
        "does not fit",
    ),
    "packed order": (
        "pack-quantized order",
        {"weight_g_idx": torch.full((256,), 4, dtype=torch.int32)},
        "does not fit a weight",
    ),
    "negative order": (
        "pack-quantized order",
        {"weight_g_idx": torch.full((256,), -1, dtype=torch.int32)},
        "does not fit a weight",
    ),
    "gptq order": (
        "gptq order",
        {"g_idx": torch.full((256,), 99, dtype=torch.int32)},
        "does not list a group below 4 for each of 256 columns",
    ),
    "gptq zeros": ("gptq", {"qzeros": ONES(4, 7).to(torch.int32)}, "does not fit its zeros and scales"),
    "gptq dims": ("gptq", {"qzeros": ONES(4).to(torch.int32)}, "are not two-dimensional"),
    "gptq scales": ("gptq", {"scales": None}, r"up_proj.scales is missing, which .*up_proj.qweight needs"),
    "awq zeros": ("awq", {"qzeros": ONES(3, 64).to(torch.int32)}, "does not fit its zeros and scales"),
    "awq groups": (
        "awq",
        {"qzeros": ONES(3, 64).to(torch.int32), "scales": ONES(3, 512).half()},
        "256 columns, which 3 groups do not divide",
    ),
    "nvfp4": (
        "modelopt nvfp4",
        {"weight_scale": ONES(512, 15).to(torch.float8_e4m3fn)},
        "does not fit a weight",
    ),
    "nvfp4 whole": ("nvfp4-pack-quantized", {"weight_global_scale": None}, "weight_global_scale is missing"),
    "mxfp4": (
        "mxfp4-pack-quantized",
        {"weight_scale": ONES(512, 9).to(torch.uint8)},
        "does not fit its scales",
    ),
    "state": (
        "bitsandbytes nf4",
        {"weight.quant_state.bitsandbytes__nf4": torch.tensor(list(b"[1, 2"), dtype=torch.uint8)},
        "does not describe a matrix",
    ),
    "blocksize": (
        "bitsandbytes nf4",
        {
            "weight.quant_state.bitsandbytes__nf4": torch.tensor(
                list(b'{"shape": [512, 256], "blocksize": 32}'), dtype=torch.uint8
            )
        },
        "does not hold 131,072 weights in blocks of 32",
    ),
    "table": ("bitsandbytes nf4", {"weight.quant_map": ONES(15)}, "does not hold"),
    "largest": ("bitsandbytes int8", {"SCB": ONES(5)}, "a number for each of 512 rows"),
    "layout": (
        "bitsandbytes int8",
        {"weight_format": ONES(1).to(torch.uint8)},
        "the layout of a graphics card",
    ),
    "foreign": ("awq", {"lora": ONES(2, 2)}, "lora is not in the llama model"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_arrays_that_do_not_fit_are_one_line(folder, what):
    form, arrays, message = DAMAGED[what]
    quantize_folder(folder, form)
    change(folder, **arrays)
    with pytest.raises(SourceError, match=message) as caught:
        open_model(folder)
    assert "\n" not in str(caught.value)


def test_quantized_arrays_without_settings_are_refused(folder):
    quantize_folder(folder, "fp8 blocks")
    edit_json(folder / "config.json", quantization_config=None)
    with pytest.raises(
        SourceError, match=r"is stored as F8_E4M3; supported without quantization_config: F32"
    ):
        open_model(folder)


def test_scales_of_activations_and_cache_are_left_out_and_the_notice_says_so(folder):
    quantize_folder(folder, "fp8 tensor")
    stored = load_file(folder / "model.safetensors")
    names = [
        f"{STEM}.input_scale",
        "model.layers.0.self_attn.k_proj.k_scale",
        "model.layers.0.self_attn.v_scale",
    ]
    save_file(stored | {name: torch.ones(()) for name in names}, folder / "model.safetensors")
    file = open_model(folder)
    assert not any("scale" in name for name in file.tensors)
    assert file.notice == "fp8 also computes with activations in 8 bits; here only its weights are quantized"


@pytest.mark.parametrize(
    ("form", "bits"),
    [("int-quantized", "8"), ("nvfp4-pack-quantized", "4"), ("modelopt nvfp4", "4"), ("awq", None)],
)
def test_notices_name_the_bits_of_activations(folder, form, bits):
    quantize_folder(folder, form)
    notice = open_model(folder).notice
    assert notice is None if bits is None else f"activations in {bits} bits" in notice


def test_settings_may_lie_in_modelopts_file(folder):
    values = quantize_folder(folder, "modelopt nvfp4")
    edit_json(folder / "config.json", quantization_config=None)
    text = '{"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4", "group_size": 16}}'
    (folder / "hf_quant_config.json").write_text(text)
    file = open_model(folder)
    np.testing.assert_array_equal(file.dequantize("blk.1.ffn_up.weight"), values[f"{STEM}.weight"])
    assert folder / "hf_quant_config.json" in file.files


def test_biases_of_zeros_that_gptq_adds_are_left_out(folder):
    quantize_folder(folder, "gptq")
    change(folder, bias=torch.zeros(512, dtype=torch.float16))
    assert "blk.1.ffn_up.bias" not in open_model(folder).tensors
    change(folder, bias=torch.ones(512, dtype=torch.float16))
    with pytest.raises(SourceError, match="bias"):
        open_model(folder)


def test_sizes_count_codes_scales_and_what_belongs_to_them(folder):
    quantize_folder(folder, "awq")
    info = open_model(folder).tensor("blk.1.ffn_up.weight")
    rows, columns, groups = 512, 256, 4
    assert info.shape == (rows, columns)
    assert info.n_bytes == rows * columns // 2 + groups * rows // 2 + 2 * groups * rows
    assert info.bits_per_weight == pytest.approx(4 + 20 / 64)


def test_every_method_is_tested():
    assert {settings["quant_method"] for settings, _, _ in FORMATS.values()} | {
        "mxfp4",
        "modelopt_fp4",
    } == set(METHODS)
