"""Checkpoints of families that transformers lacks here, written from GGUF files, hold the same model as those."""

from __future__ import annotations

import json

import numpy as np
import pytest
import random_families
from inverse_checkpoints import write_inverse
from safetensors.numpy import load_file, save_file
from tiny_checkpoints import edit_json, random_model, save_checkpoint

from evaluator.export.exact.graph import load_graph
from evaluator.models.sources.open_model import open_model
from evaluator.support.errors import SourceError

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


_EXPERTS = {"pattern": "ME*E"}


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({}, {"hybrid_override_pattern": "M-*"}),
        ({}, {"hybrid_override_pattern": "M-*X"}),
        (_EXPERTS, {"hybrid_override_pattern": "ME*-"}),
        (_EXPERTS, {"norm_topk_prob": 1}),
        ({}, {"time_step_limit": [0.1, 1.0]}),
        ({}, {"rope_scaling": {"rope_type": "linear", "factor": 2.0}}),
        ({}, {"mlp_hidden_act": "silu"}),
        ({}, {"mamba_hidden_act": "relu"}),
        *(({}, {key: True}) for key in ("use_bias", "mlp_bias", "attention_bias", "mamba_proj_bias")),
        ({}, {"use_conv_bias": False}),
    ],
)
def test_settings_of_nemotron_h_that_gguf_cannot_express_are_named(tmp_path, options, changes):
    folder = write_inverse(
        random_families.write("nemotron_h", tmp_path / "m.gguf", **options), tmp_path / "m"
    )
    edit_json(folder / "config.json", **changes)
    with pytest.raises(SourceError, match=next(iter(changes))):
        open_model(folder)


@pytest.mark.parametrize(("options", "inner"), [({}, "mlp"), (_EXPERTS, "moe")])
def test_layers_of_nemotron_h_may_be_listed_by_name(tmp_path, options, inner):
    folder = write_inverse(
        random_families.write("nemotron_h", tmp_path / "m.gguf", **options), tmp_path / "m"
    )
    before = open_model(folder)
    pattern = json.loads((folder / "config.json").read_text())["hybrid_override_pattern"]
    names = {"M": "mamba", "*": "attention", "-": inner, "E": inner}
    limits = [0.0, {"__float__": "Infinity"}]
    kinds = [names[letter] for letter in pattern]
    edit_json(
        folder / "config.json", hybrid_override_pattern=None, layers_block_type=kinds, time_step_limit=limits
    )
    after = open_model(folder)
    assert after.metadata.keys() == before.metadata.keys()
    assert all(np.array_equal(after.metadata[key], value) for key, value in before.metadata.items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm_topk_prob": False}, "norm_topk_prob"),
        ({"decoder_sparse_step": 2}, "decoder_sparse_step"),
        ({"mlp_only_layers": [1]}, "mlp_only_layers"),
        ({"attention_bias": True}, "attention_bias"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"rope_scaling": {"rope_type": "default", "mrope_section": [1] * 5}}, "mrope_section"),
    ],
)
def test_settings_of_qwen3_vl_that_gguf_cannot_express_are_named(tmp_path, changes, message):
    path = random_families.write("qwen3moe", tmp_path / "m.gguf", deep=2)
    folder = write_inverse(path, tmp_path / "m")
    edit_json(folder / "config.json", **changes)
    with pytest.raises(SourceError, match=message):
        open_model(folder)


@pytest.mark.parametrize("replaced", [None, np.zeros(2, np.float32)], ids=["missing", "two"])
def test_apertus_has_one_number_of_each_kind_per_layer(tmp_path, replaced):
    folder = save_checkpoint(random_model("apertus"), tmp_path / "m")
    held = open_model(folder)
    assert [len(held.metadata[f"xielu.{name}"]) for name in ("alpha_n", "alpha_p", "beta", "eps")] == [2] * 4
    arrays = load_file(folder / "model.safetensors")
    name = "model.layers.1.mlp.act_fn.alpha_p"
    del arrays[name]
    save_file(arrays | ({} if replaced is None else {name: replaced}), folder / "model.safetensors")
    with pytest.raises(SourceError, match=r"model.layers.N.mlp.act_fn.alpha_p for each of 2 layers"):
        open_model(folder)
