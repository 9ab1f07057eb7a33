"""A checkpoint's head, equivalent spellings of settings, and contradicting settings."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from checkpoint_decisions import BASES
from safetensors.torch import load_file, save_file
from tiny_checkpoints import edit_json, random_model, save_checkpoint
from transformers import AutoModelForCausalLM

from evaluator.export.exact.weights import head_weights
from evaluator.models.sources.open_model import open_model
from evaluator.support.errors import SourceError


@pytest.fixture(scope="module")
def untied(tmp_path_factory):
    return save_checkpoint(random_model("llama"), tmp_path_factory.mktemp("untied") / "m")


def without(folder, *names):
    """Remove tensors from a checkpoint with a single weight file."""
    tensors = load_file(folder / "model.safetensors")
    kept = {name: values for name, values in tensors.items() if name not in names}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("stated", [False, None])
def test_head_that_is_missing_is_not_taken_from_the_embedding(untied, tmp_path, stated):
    folder = Path(shutil.copytree(untied, tmp_path / "m"))
    without(folder, "lm_head.weight")
    edit_json(
        folder / "config.json", tie_word_embeddings=stated
    )  # None leaves the key out: a Llama is untied
    with pytest.raises(SourceError, match=r"holds no output matrix \(lm_head\.weight\)"):
        open_model(folder)
    edit_json(folder / "config.json", tie_word_embeddings=True)
    assert "output.weight" not in open_model(folder).tensors


@pytest.mark.parametrize("model_type", ["smollm3", "gemma", "gemma2", "gemma3_text"])
def test_families_that_tie_unless_told_otherwise_need_no_head(tmp_path, model_type):
    folder = save_checkpoint(random_model(model_type, **BASES[model_type]), tmp_path / "m")
    edit_json(folder / "config.json", tie_word_embeddings=None)
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    assert "output.weight" not in open_model(folder).tensors


def test_head_of_a_tied_checkpoint_is_left_out_as_transformers_does(untied, tmp_path):
    folder = Path(shutil.copytree(untied, tmp_path / "m"))
    edit_json(folder / "config.json", tie_word_embeddings=True)
    model = AutoModelForCausalLM.from_pretrained(folder)
    np.testing.assert_array_equal(head_weights(open_model(folder)), model.lm_head.weight.detach())
    without(folder, "model.embed_tokens.weight")  # the one matrix may be stored under either name
    expected = load_file(folder / "model.safetensors")["lm_head.weight"]
    np.testing.assert_array_equal(head_weights(open_model(folder)), expected)


#: The same settings as transformers 5 writes them: (model_type, changes of the older file, of the newer).
NEWER = [
    (
        "qwen2",
        {"rope_theta": 500.0, "rope_scaling": {"rope_type": "linear", "factor": 4.0}},
        {"rope_parameters": {"rope_theta": 500.0, "rope_type": "linear", "factor": 4.0}},
    ),
    (
        "phi3",
        {"rope_theta": 500.0, "partial_rotary_factor": 0.5},
        {"rope_parameters": {"rope_theta": 500.0, "rope_type": "default", "partial_rotary_factor": 0.5}},
    ),
    (
        "gemma3_text",
        {
            "rope_theta": 500.0,
            "rope_local_base_freq": 100.0,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        },
        {
            "rope_parameters": {
                "full_attention": {"rope_theta": 500.0, "rope_type": "linear", "factor": 8.0},
                "sliding_attention": {"rope_theta": 100.0, "rope_type": "default"},
            }
        },
    ),
]


@pytest.mark.parametrize(("model_type", "older", "newer"), NEWER)
def test_newer_files_say_the_same_in_other_keys(tmp_path, model_type, older, newer):
    folder = save_checkpoint(random_model(model_type, **BASES[model_type]), tmp_path)
    edit_json(folder / "config.json", **older)
    expected = open_model(folder)
    edit_json(folder / "config.json", **dict.fromkeys(older), **newer)
    found = open_model(folder)
    assert found.metadata.keys() == expected.metadata.keys()
    for key, value in expected.metadata.items():
        np.testing.assert_array_equal(found.metadata[key], value, err_msg=key)
    assert found.tensors == expected.tensors


@pytest.mark.parametrize(
    ("model_type", "changes", "message"),
    [
        (
            "llama",
            {"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}},
            "partial_rotary_factor is 0.5",
        ),
        ("llama", {"rope_scaling": {"type": "linear", "rope_type": "yarn", "factor": 2.0}}, "not its type"),
        ("llama", {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "truncate": 1}}, "truncate is 1"),
        ("mistral", {"model_type": "mistral"}, "attention_bias is not true, and its weights hold blk"),
        ("gemma2", {"layer_types": ["full_attention"]}, "not a list of 3"),
        (
            "gemma2",
            {"layer_types": ["full_attention"] * 2 + ["linear_attention"]},
            "'linear_attention', not sliding",
        ),
        ("qwen2", {"layer_types": ["full_attention", "sliding_attention"]}, "no sliding window is in use"),
    ],
)
def test_settings_that_contradict_are_named(tmp_path, model_type, changes, message):
    shape = BASES[model_type] | ({"attention_bias": True} if model_type == "mistral" else {})
    made = "llama" if model_type == "mistral" else model_type
    folder = save_checkpoint(random_model(made, **shape), tmp_path)
    edit_json(folder / "config.json", **changes, attention_bias=None)
    with pytest.raises(SourceError, match=message):
        open_model(folder)


def test_phi3_called_its_long_factors_by_other_names(tmp_path):
    factors = {"short_factor": [1.0] * 32, "long_factor": [2.0] * 32}
    for kind in ("longrope", "su", "yarn"):
        model = random_model("phi3", rope_scaling={"type": kind, **factors}, pad_token_id=0)
        folder = save_checkpoint(model, tmp_path / kind)
        edit_json(folder / "config.json", rope_scaling={"type": kind, **factors})
        assert "rope_factors_long.weight" in open_model(folder).tensors
