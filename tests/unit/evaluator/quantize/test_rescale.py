"""Rescaling changes every matrix and nothing that the model computes."""

from __future__ import annotations

import weakref

import gguf
import numpy as np
import pytest
from numpy_llama import final_hidden
from tiny_models import write_tiny_llama

from evaluator.models.gguf.reader import open_gguf
from evaluator.quantize import rescale
from evaluator.quantize.rescale import rescaled_outline, rescaled_tensors, write_rescaled_f16
from evaluator.support.errors import SourceError

IDS = np.arange(40, 60)
ATTENTION = ("attn_q", "attn_k", "attn_v", "attn_output")
FEED_FORWARD = ("ffn_gate", "ffn_up", "ffn_down")


def both(tiny, seed=0):
    changed = rescaled_tensors(tiny, 0, seed) | rescaled_tensors(tiny, 1, seed)
    return changed, lambda name: changed[name] if name in changed else tiny.dequantize(name)


def test_function_is_unchanged(tiny):
    _, rescaled = both(tiny)
    np.testing.assert_allclose(
        final_hidden(rescaled, IDS), final_hidden(tiny.dequantize, IDS), rtol=1e-4, atol=1e-5
    )


def test_every_matrix_of_the_blocks_leaves_its_grid(tiny):
    changed, _ = both(tiny)
    assert set(changed) == {name for name in tiny.tensors if name.startswith("blk.")}
    for name, values in changed.items():
        ratio = values / tiny.dequantize(name)
        assert np.std(np.log(np.abs(ratio))) > 0.15
        assert values.dtype == np.float32


def test_seed_decides(tiny):
    first, again, other = both(tiny)[0], both(tiny)[0], both(tiny, 1)[0]
    name = "blk.0.attn_q.weight"
    assert np.array_equal(first[name], again[name])
    assert not np.array_equal(first[name], other[name])


def test_value_bias_moves_with_its_rows(tmp_path):
    file = open_gguf(write_tiny_llama(tmp_path / "q.gguf", architecture="qwen2", layers=1))
    changed = rescaled_tensors(file, 0)
    norms = file.dequantize("blk.0.attn_norm.weight") / changed["blk.0.attn_norm.weight"]
    rows = changed["blk.0.attn_v.weight"] / file.dequantize("blk.0.attn_v.weight") / norms
    bias = changed["blk.0.attn_v.bias"] / file.dequantize("blk.0.attn_v.bias")
    np.testing.assert_allclose(rows, np.broadcast_to(bias[:, None], rows.shape), rtol=1e-5)


@pytest.mark.parametrize("biased", [ATTENTION[:3], ATTENTION, FEED_FORWARD, ATTENTION + FEED_FORWARD])
def test_function_with_biases_is_unchanged(tmp_path, biased):
    file = open_gguf(write_tiny_llama(tmp_path / "b.gguf", biased=biased))
    _, rescaled = both(file)

    def outputs(tensor, roles=biased):
        """With biases as large as what they are added to, so that each of them counts."""
        return final_hidden(
            lambda name: tensor(name) * (20 if name.endswith("bias") else 1), IDS, biased=roles
        )

    expected = outputs(file.dequantize)
    np.testing.assert_allclose(outputs(rescaled), expected, rtol=1e-4, atol=1e-4)
    for role in biased:
        without = outputs(file.dequantize, [other for other in biased if other != role])
        assert np.abs(without - expected).max() > 0.01


def test_written_file_computes_nearly_the_same(tiny, tmp_path):
    write_rescaled_f16(tiny, tmp_path / "m.gguf")
    made = open_gguf(tmp_path / "m.gguf")
    kinds = {info.ggml_type.name for info in made.tensors.values() if len(info.shape) == 2}
    assert kinds == {"F16"}
    difference = final_hidden(made.dequantize, IDS) - final_hidden(tiny.dequantize, IDS)
    assert 0 < np.abs(difference).max() < 0.02


def test_written_tensors_are_those_of_all_layers_computed_at_once(tmp_path):
    file = open_gguf(write_tiny_llama(tmp_path / "q.gguf", architecture="qwen2", layers=3))
    write_rescaled_f16(file, tmp_path / "m.gguf")
    made = open_gguf(tmp_path / "m.gguf")
    changed = rescaled_tensors(file, 0) | rescaled_tensors(file, 1) | rescaled_tensors(file, 2)
    for name, info in made.tensors.items():
        values = changed[name] if name in changed else file.dequantize(name)
        assert made.raw(name).tobytes() == gguf.quantize(values, info.ggml_type).tobytes()


def test_one_layer_at_a_time_is_in_memory(tmp_path, monkeypatch):
    """The tensor that was written last may still be there while the next layer is computed."""
    file = open_gguf(write_tiny_llama(tmp_path / "m.gguf", layers=3))
    layers, earlier, alive = [], [], []

    def watched(file, layer, seed):
        layers.append(layer)
        alive.append(sum(tensor() is not None for tensor in earlier))
        tensors = rescaled_tensors(file, layer, seed)
        earlier.extend(map(weakref.ref, tensors.values()))
        return tensors

    monkeypatch.setattr(rescale, "rescaled_tensors", watched)
    write_rescaled_f16(file, tmp_path / "out.gguf")
    assert layers == [0, 1, 2]
    assert max(alive) <= 1


def test_outline_has_the_types_of_the_written_file(tmp_path):
    kind = gguf.GGMLQuantizationType.Q4_0
    file = open_gguf(write_tiny_llama(tmp_path / "q.gguf", architecture="qwen2", layers=1, ggml_type=kind))
    write_rescaled_f16(file, tmp_path / "m.gguf")
    made = {item.name: item.tensor_type for item in gguf.GGUFReader(tmp_path / "m.gguf").tensors}
    assert {name: info.ggml_type for name, info in rescaled_outline(file).tensors.items()} == made


def test_other_family_is_refused(tmp_path):
    file = open_gguf(write_tiny_llama(tmp_path / "g.gguf", architecture="gemma9", layers=1))
    with pytest.raises(SourceError, match="cannot rescale a gemma9"):
        write_rescaled_f16(file, tmp_path / "out.gguf")
