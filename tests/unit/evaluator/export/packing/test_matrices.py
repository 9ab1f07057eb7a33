"""Rows of queries and keys, moved as bytes, against the rows of the dequantized tensor."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from tiny_models import write_tiny_llama

from evaluator.export.packing.matrices import deployed_matrix
from evaluator.models.architectures import architecture_of, restored, row_order
from evaluator.models.gguf.reader import open_gguf


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("kind", ["Q4_1", "F16"])
@pytest.mark.parametrize("role", ["attn_q", "attn_k", "attn_v", "ffn_down"])
def test_codes_scales_and_offsets_move_as_the_weights_do(tmp_path, architecture, kind, role):
    ggml_type = gguf.GGMLQuantizationType[kind]
    path = write_tiny_llama(tmp_path / "m.gguf", layers=1, architecture=architecture, ggml_type=ggml_type)
    file = open_gguf(path)
    name = f"blk.0.{role}.weight"
    expected = restored(architecture_of(file), file, name)
    np.testing.assert_allclose(deployed_matrix(file, name).values(), expected, rtol=0, atol=1e-7)
    order = row_order(architecture_of(file), file, name)
    np.testing.assert_array_equal(file.dequantize(name)[order], expected)
    assert (order != np.arange(len(order))).any() == (
        architecture == "llama" and role in ("attn_q", "attn_k")
    )
