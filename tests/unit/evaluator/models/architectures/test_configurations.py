"""A family's configuration from a file's metadata, and the files that are rejected."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from tiny_models import write_tiny_llama

from evaluator.export.exact.graph import graph_request
from evaluator.models.architectures import architecture_of
from evaluator.models.gguf.reader import open_gguf
from evaluator.support.errors import SourceError

U32, F32 = gguf.GGUFValueType.UINT32, gguf.GGUFValueType.FLOAT32
WINDOWED, FULL = "sliding_attention", "full_attention"


def tiny(tmp_path, architecture="llama", layers=1, biased=(), **metadata):
    keys = {f"{architecture}.{name.replace('__', '.')}": (value, U32) for name, value in metadata.items()}
    path = write_tiny_llama(
        tmp_path / "m.gguf", architecture=architecture, layers=layers, ffn=64, metadata=keys
    )
    file = open_gguf(path)
    for role in biased:
        file.tensors[f"blk.0.{role}.bias"] = file.tensors["output_norm.weight"]
    return file


def settings(file):
    return architecture_of(file).config(file)


def layers_of(file):
    return [layer == WINDOWED for layer in settings(file)["layer_types"]]


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [("gemma2", [1, 0, 1, 0, 1, 0, 1]), ("gemma3", [1, 1, 1, 1, 1, 0, 1])],
)
def test_layers_are_windowed_by_the_family_s_period(tmp_path, architecture, expected):
    file = tiny(tmp_path, architecture, layers=7, attention__sliding_window=8)
    assert layers_of(file) == expected
    assert settings(file)["sliding_window"] == 8


@pytest.mark.parametrize("pattern", [[True, False, True], np.array([1, 0, 1])])
def test_layers_are_windowed_by_the_file_s_own_pattern(tmp_path, pattern):
    file = tiny(tmp_path, "gemma3", layers=3, attention__sliding_window=8)
    file.metadata["gemma3.attention.sliding_window_pattern"] = pattern
    assert layers_of(file) == [1, 0, 1]
    file.metadata["gemma3.attention.sliding_window_pattern"] = pattern[:2]
    with pytest.raises(SourceError, match="holds 2 of 3 layers"):
        settings(file)


def test_gemma3_without_a_window_attends_to_all(tmp_path):
    assert layers_of(tiny(tmp_path, "gemma3", layers=2)) == [0, 0]


@pytest.mark.parametrize(("architecture", "layers"), [("gemma2", 46), ("gemma3", 62)])
def test_queries_of_the_27b_are_scaled_by_hidden_over_heads(tmp_path, architecture, layers):
    file = tiny(tmp_path, architecture, layers=1, attention__key_length=32)
    assert settings(file)["query_pre_attn_scalar"] == 32
    file.metadata[f"{architecture}.block_count"] = layers
    assert settings(file)["query_pre_attn_scalar"] == 256 // 4


def test_tensors_that_a_graph_needs_are_asked_for_before_it_is_made(tmp_path):
    file = tiny(tmp_path, layers=2)
    del file.tensors["blk.1.ffn_up.weight"]
    with pytest.raises(SourceError, match=r"tensor blk\.1\.ffn_up\.weight is missing"):
        graph_request(file)


def test_biases_are_in_all_layers_or_in_none(tmp_path):
    file = tiny(tmp_path, layers=2, biased=("attn_q", "attn_k", "attn_v"))
    with pytest.raises(SourceError, match=r"tensor blk\.1\.attn_q\.bias is missing"):
        graph_request(file)
    for role in ("attn_q", "attn_k", "attn_v"):
        file.tensors[f"blk.1.{role}.bias"] = file.tensors["output_norm.weight"]
    assert graph_request(file)["model_type"] == "qwen2"


@pytest.mark.parametrize(
    ("biased", "expected"),
    [
        ([], ("llama", {})),
        (["attn_q", "attn_k", "attn_v"], ("qwen2", {})),
        (["attn_q", "attn_k", "attn_v", "attn_output"], ("llama", {"attention_bias": True})),
        (["ffn_gate", "ffn_up", "ffn_down"], ("llama", {"mlp_bias": True})),
    ],
)
def test_biases_of_a_llama_choose_its_graph(tmp_path, biased, expected):
    request = graph_request(tiny(tmp_path, biased=biased))
    found = {key: value for key, value in request["settings"].items() if key.endswith("_bias")}
    assert (request["model_type"], found) == expected


def test_window_of_a_llama_makes_it_a_mistral(tmp_path):
    request = graph_request(tiny(tmp_path, attention__sliding_window=4096))
    assert request["model_type"] == "mistral"
    assert request["settings"]["sliding_window"] == 4096
    assert graph_request(tiny(tmp_path, attention__sliding_window=0))["model_type"] == "llama"


def test_partial_rotary_of_phi3_survives_rounding(tmp_path):
    for turned in range(2, 64, 2):
        found = settings(tiny(tmp_path, "phi3", rope__dimension_count=turned))
        assert int(found["head_dim"] * found["partial_rotary_factor"]) == turned


def test_smollm3_skips_the_rotary_embedding_in_every_fourth_layer(tmp_path):
    assert settings(tiny(tmp_path, "smollm3", layers=9))["no_rope_layers"] == [1, 1, 1, 0, 1, 1, 1, 0, 1]


NEUTRAL = [
    ("attention.causal", True, False),
    ("attention.scale", 0.0, 0.1),
    ("attention.scale", 64**-0.5, 64**-0.25),
    ("attention.clamp_kqv", 0.0, 8.0),
    ("attention.max_alibi_bias", 0.0, 8.0),
    ("attention.key_length_swa", 64, 32),
    ("attention.value_length_swa", 64, 32),
    ("rope.dimension_count_swa", 64, 32),
    ("attn_logit_softcapping", 0.0, 50.0),
    ("final_logit_softcapping", 0.0, 30.0),
    ("embedding_scale", 1.0, 12.0),
    ("residual_scale", 1.0, 0.22),
    ("logit_scale", 1.0, 8.0),
    ("nextn_predict_layers", 0, 1),
    ("use_parallel_residual", False, True),
]


@pytest.mark.parametrize(("key", "neutral", "asking"), NEUTRAL)
def test_setting_that_no_graph_computes_is_refused_unless_it_changes_nothing(tmp_path, key, neutral, asking):
    file = tiny(tmp_path, "qwen3")
    before = settings(file)
    file.metadata[f"qwen3.{key}"] = neutral
    assert settings(file) == before
    for value in (asking, np.array([asking, asking])):
        file.metadata[f"qwen3.{key}"] = value
        with pytest.raises(SourceError, match=key.replace(".", r"\.")):
            settings(file)


@pytest.mark.parametrize("architecture", ["gemma2", "gemma3"])
def test_soft_caps_are_honoured_where_the_family_has_them(tmp_path, architecture):
    file = tiny(tmp_path, architecture)
    file.metadata[f"{architecture}.final_logit_softcapping"] = 7.0
    assert settings(file)["final_logit_softcapping"] == 7
    file.metadata[f"{architecture}.attn_logit_softcapping"] = 5.0
    if architecture == "gemma2":
        assert settings(file)["attn_logit_softcapping"] == 5
    else:
        with pytest.raises(SourceError, match=r"gemma3\.attn_logit_softcapping is 5\.0"):
            settings(file)


def test_windowed_layers_of_gemma2_turn_like_the_others(tmp_path):
    file = tiny(tmp_path, "gemma2")
    file.metadata["gemma2.rope.freq_base_swa"] = 10000.0
    settings(file)
    file.metadata["gemma2.rope.freq_base_swa"] = 500.0
    with pytest.raises(SourceError, match="rotary base of 500"):
        settings(file)


@pytest.mark.parametrize("key", ["feed_forward_length", "attention.head_count", "attention.head_count_kv"])
def test_sizes_given_layer_by_layer_have_to_be_the_same(tmp_path, key):
    file = tiny(tmp_path, "qwen3", layers=2)
    before, value = settings(file), file.metadata[f"qwen3.{key}"]
    file.metadata[f"qwen3.{key}"] = np.array([value, value], np.int32)
    assert settings(file) == before
    file.metadata[f"qwen3.{key}"] = np.array([value, 2 * value], np.int32)
    with pytest.raises(SourceError, match="differs between layers"):
        settings(file)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"architecture": "qwen2", "expert_count": 8}, "experts of the qwen2 family are not supported"),
        ({"attention__head_count": 7}, "7 heads do not divide"),
        ({"attention__value_length": 32}, "another width than the keys"),
        ({"rope__dimension_count": 32}, "32 of 64 dimensions"),
        ({"biased": ["attn_q"]}, "biases on attn_q"),
        ({"biased": ["ffn_gate", "ffn_up", "ffn_down"], "attention__sliding_window": 9}, "sliding window"),
        ({"biased": ["attn_norm"]}, r"tensor blk\.0\.attn_norm\.bias is not part of the llama family"),
        (
            {"architecture": "qwen2", "biased": ["ffn_up"]},
            r"tensor blk\.0\.ffn_up\.bias is not part of the qwen2 family",
        ),
    ],
)
def test_file_that_no_graph_fits_is_refused(tmp_path, options, reason):
    with pytest.raises(SourceError, match=reason):
        graph_request(tiny(tmp_path, **options))
