"""Checkpoints of families that transformers lacks here, written from GGUF files, hold the same model as those."""

from __future__ import annotations

import numpy as np
import pytest
import random_families
from inverse_checkpoints import write_inverse

from evaluator.export.exact.graph import load_graph
from evaluator.models.sources.open_model import open_model

CASES = [
    ("qwen35", {}, False),
    ("qwen35", {"tied": True}, True),
    ("qwen35", {"architecture": "qwen35moe"}, False),
    ("qwen35", {"architecture": "qwen35moe"}, True),
    ("minimax-m2", {}, False),
    ("mistral3", {}, False),
    ("lfm2", {"mixture": True}, False),
    ("nemotron_h", {}, False),
    ("nemotron_h", {"pattern": "ME*E"}, False),
    ("nemotron_h", {"pattern": "ME*E", "latent": 24, "groups": (4, 2)}, False),
    ("qwen3vl", {}, True),
    ("qwen3vl", {"tied": True}, True),
    ("qwen3moe", {"deep": 2}, True),
    ("gemma4", {}, False),
    ("gemma4", {"per_layer": 0, "shared_layers": 0, "period": 3}, True),
    ("gemma4", {"per_layer": 0, "shared_layers": 0, "mixture": True, "layers": 4}, False),
]
#: Settings that have another form there: YaRN's default factors in other words, and what a graph does not depend on.
_REWORDED = ("rope.scaling.yarn_log_multiplier", "rope.scaling.attn_factor", "feed_forward_length")
_REWORDED_IN = {"nemotron_h": ("rope.dimension_count",)}  # nothing is rotated


@pytest.mark.parametrize(("family", "options", "nested"), CASES)
def test_checkpoint_holds_what_the_converted_file_holds(tmp_path, family, options, nested):
    path = random_families.write(family, tmp_path / "m.gguf", **options)
    converted = open_model(path)
    checkpoint = open_model(write_inverse(path, tmp_path / "m", nested=nested))
    assert checkpoint.tensors.keys() == converted.tensors.keys()
    for name, info in converted.tensors.items():
        found, expected = checkpoint.dequantize(name), converted.dequantize(name)
        assert found.size == info.n_elements
        np.testing.assert_allclose(
            found.reshape(expected.shape), expected, rtol=1e-5, atol=1e-6, err_msg=name
        )
    for key, value in converted.metadata.items():
        if key in checkpoint.metadata and not key.endswith(
            ("file_type", *_REWORDED, *_REWORDED_IN.get(family, ()))
        ):
            assert np.array_equal(checkpoint.metadata[key], value), key
    ours, theirs = load_graph(checkpoint).decoder, load_graph(converted).decoder
    assert ours is not None
    assert theirs is not None
    assert ours.layers == theirs.layers
    for mine, other in zip(ours.rotary, theirs.rotary, strict=True):
        np.testing.assert_allclose(
            mine.frequencies(checkpoint, 128), other.frequencies(converted, 128), rtol=1e-6
        )
        assert mine.scale == pytest.approx(other.scale)
