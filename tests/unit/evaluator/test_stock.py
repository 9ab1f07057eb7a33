"""The stock recipe."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from tiny_models import write_tiny_llama

from evaluator.errors import RequestError, SourceError
from evaluator.quantize.stock import STOCK_TYPES, make_stock_variant, stock_type
from evaluator.sources.gguf_file import open_gguf


@pytest.mark.parametrize(
    ("name", "shape", "quant", "tied", "expected"),
    [
        ("blk.0.attn_norm.weight", (256,), "Q4_0", True, "F32"),
        ("blk.0.ffn_up.weight", (512, 256), "Q4_0", True, "Q4_0"),
        ("blk.0.ffn_down.weight", (256, 512), "Q5_1", True, "Q5_1"),
        ("token_embd.weight", (99, 256), "Q4_0", True, "Q6_K"),
        ("token_embd.weight", (99, 576), "Q4_0", True, "Q8_0"),
        ("token_embd.weight", (99, 256), "Q8_0", True, "Q8_0"),
        ("token_embd.weight", (99, 256), "Q4_1", False, "Q4_1"),
        ("output.weight", (99, 256), "Q4_1", False, "Q6_K"),
    ],
)
def test_type_is_the_one_llama_quantize_gives(name, shape, quant, tied, expected):
    assert stock_type(name, shape, quant, tied=tied).name == expected


@pytest.mark.parametrize("quant", STOCK_TYPES)
def test_variant_holds_the_reference_quantization(tmp_path, quant):
    source = open_gguf(write_tiny_llama(tmp_path / "m-F32.gguf", layers=1, hidden=64, ffn=96))
    make_stock_variant(source, quant, tmp_path / "made" / "v.gguf")
    reader = gguf.GGUFReader(tmp_path / "made" / "v.gguf")
    assert reader.get_field("general.file_type").contents() == int(STOCK_TYPES[quant][1])
    kinds = {item.name: item.tensor_type.name for item in reader.tensors}
    assert (kinds["token_embd.weight"], kinds["output_norm.weight"]) == ("Q8_0", "F32")
    for item in reader.tensors:
        if item.name.startswith("blk.0.ffn_") and len(item.shape) == 2:
            expected = gguf.quantize(source.dequantize(item.name), gguf.GGMLQuantizationType[quant])
            np.testing.assert_array_equal(item.data, expected)
            assert kinds[item.name] == quant


def test_unknown_quant_names_the_known(tiny, tmp_path):
    with pytest.raises(RequestError, match="cannot make Q3_K; known: Q4_0"):
        make_stock_variant(tiny, "Q3_K", tmp_path / "v.gguf")


@pytest.mark.parametrize(
    ("hidden", "message"), [(48, "rows of 48 do not fit"), (256, "quantizing to Q6_K is not supported")]
)
def test_what_cannot_be_made_leaves_no_file(tmp_path, hidden, message):
    source = open_gguf(write_tiny_llama(tmp_path / "m.gguf", layers=1, hidden=hidden, ffn=96))
    with pytest.raises(SourceError, match=message):
        make_stock_variant(source, "Q4_0", tmp_path / "out" / "v.gguf")
    assert list(tmp_path.glob("out/*")) == []
