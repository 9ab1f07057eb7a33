"""Exact weights: order, orientation and shapes, against loops written out."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from tiny_models import write_tiny_llama

from evaluator.export.exact.graph import Graph
from evaluator.export.exact.weights import exact_weights, head_weights, parameter_tensors
from evaluator.export.skeleton import Slot
from evaluator.models.architectures import ARCHITECTURES, restored, tensor_names
from evaluator.models.gguf.reader import open_gguf
from evaluator.support.errors import SourceError

LLAMA, QWEN2 = ARCHITECTURES.get("llama"), ARCHITECTURES.get("qwen2")
Q_PROJ = "model.layers.0.self_attn.q_proj.weight"


def unpermuted(values, heads):
    """Row 2i + half of a head in the file is row half · d/2 + i of that head in the graph."""
    result, d = np.empty_like(values), len(values) // heads
    for head in range(heads):
        for half in range(2):
            for i in range(d // 2):
                result[head * d + half * (d // 2) + i] = values[head * d + 2 * i + half]
    return result


@pytest.mark.parametrize(("letter", "heads"), [("q", 4), ("k", 2)])
def test_llama_rows_are_put_back(tiny, letter, heads):
    name = f"blk.1.attn_{letter}.weight"
    np.testing.assert_array_equal(restored(LLAMA, tiny, name), unpermuted(tiny.dequantize(name), heads))


@pytest.mark.parametrize("role", ["attn_v", "attn_output", "ffn_gate", "attn_norm"])
def test_other_tensors_stay_as_they_are(tiny, role):
    name = f"blk.0.{role}.weight"
    np.testing.assert_array_equal(restored(LLAMA, tiny, name), tiny.dequantize(name))


def test_qwen2_rows_stay_and_biases_are_mapped(tmp_path):
    file = open_gguf(write_tiny_llama(tmp_path / "q.gguf", architecture="qwen2", layers=1))
    name = "blk.0.attn_q.weight"
    np.testing.assert_array_equal(restored(QWEN2, file, name), file.dequantize(name))
    assert parameter_tensors(file)["model.layers.0.self_attn.k_proj.bias"] == "blk.0.attn_k.bias"
    assert set(parameter_tensors(file).values()) == set(file.tensors)


def test_every_tensor_of_the_file_has_one_parameter(tiny):
    placed = [name for name in parameter_tensors(tiny).values() if not name.endswith(".bias")]
    assert sorted(placed) == sorted(tiny.tensors)
    assert len(tensor_names(LLAMA, 2)) == 2 * (9 + 7) + 1


def test_slots_get_contiguous_values_in_their_orientation(tiny):
    slots = (
        Slot("d", "model.layers.0.mlp.down_proj.weight", True, (512, 256), 0),
        Slot("n", "model.norm.weight", False, (256,), 0),
    )
    (_, down), (_, norm) = exact_weights(tiny, Graph(Path(), slots))
    np.testing.assert_array_equal(down, tiny.dequantize("blk.0.ffn_down.weight").T)
    np.testing.assert_array_equal(norm, tiny.dequantize("output_norm.weight"))
    assert down.flags.c_contiguous
    assert down.dtype == np.float32


def test_other_shape_is_a_source_error(tiny):
    with pytest.raises(
        SourceError, match=r"blk\.0\.attn_q\.weight has shape \(256, 256\), the graph needs \(9, 9\)"
    ):
        list(exact_weights(tiny, Graph(Path(), (Slot("q", Q_PROJ, False, (9, 9), 0),))))


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "F16"])
def test_quantized_values_are_those_the_format_defines(tmp_path, kind):
    ggml_type = gguf.GGMLQuantizationType[kind]
    path = write_tiny_llama(tmp_path / "m.gguf", layers=1, ggml_type=ggml_type)
    item = next(t for t in gguf.GGUFReader(path).tensors if t.name == "blk.0.attn_q.weight")
    values = unpermuted(gguf.dequantize(item.data, ggml_type), 4)
    ((_, found),) = exact_weights(open_gguf(path), Graph(Path(), (Slot("q", Q_PROJ, False, (256, 256), 0),)))
    np.testing.assert_array_equal(found, values)


def test_head_is_the_embedding_when_tied_and_the_output_otherwise(tiny, tmp_path):
    untied = open_gguf(write_tiny_llama(tmp_path / "u.gguf", layers=1, untied=True))
    np.testing.assert_array_equal(head_weights(tiny), tiny.dequantize("token_embd.weight"))
    np.testing.assert_array_equal(head_weights(untied), untied.dequantize("output.weight"))
