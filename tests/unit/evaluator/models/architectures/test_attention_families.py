"""Families with attention in all layers: what their files say, and the files that are refused."""

from __future__ import annotations

import pytest
from random_families import write

from evaluator.models.architectures import described
from evaluator.models.architectures.rotary import check_context
from evaluator.models.gguf.reader import open_gguf
from evaluator.support.errors import SourceError

NAMES = (
    "apertus",
    "arcee",
    "bailingmoe",
    "bailingmoe2",
    "cohere2",
    "cohere2moe",
    "command-r",
    "dots1",
    "ernie4_5",
    "ernie4_5-moe",
    "exaone",
    "exaone-moe",
    "exaone4",
    "glm4",
    "glm4moe",
    "granite",
    "granitemoe",
    "hunyuan-dense",
    "hunyuan-moe",
    "llama4",
    "mimo2",
    "minimax-m2",
    "mistral3",
    "nemotron",
    "olmo2",
    "olmoe",
    "qwen3moe",
    "qwen3vl",
    "seed_oss",
    "starcoder2",
    "step35",
)


def opened(name, tmp_path, metadata=(), **options):
    file = open_gguf(write(name, tmp_path / "m.gguf", **options))
    file.metadata.update({f"{file.architecture}.{key}": value for key, value in dict(metadata).items()})
    return file


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_that_is_not_computed(tmp_path, name):
    with pytest.raises(SourceError, match=r"attn_logit_softcapping is 30\.0, which a .* does not compute"):
        described(opened(name, tmp_path, {"attn_logit_softcapping": 30.0}))


@pytest.mark.parametrize(
    ("name", "key", "value", "reason"),
    [
        ("llama4", "attention.sliding_window", 0, "does not compute"),
        ("granite", "attention.sliding_window", 32, "does not compute"),
        ("bailingmoe2", "expert_group_used_count", 5, "damaged"),
        ("mimo2", "attention.value_length", 64, "wider than the keys"),
        ("glm4moe", "expert_gating_func", 9, "function 9, which is not known"),
        ("step35", "swiglu_clamp_exp", [0.0], "a list of 1, not a list of 4"),
        ("olmo2", "attention.head_count", 3, "do not divide"),
    ],
)
def test_a_value_that_cannot_be_right(tmp_path, name, key, value, reason):
    with pytest.raises(SourceError, match=reason):
        described(opened(name, tmp_path, {key: value}))


@pytest.mark.parametrize("values", [None, [0.5], [0.5, float("nan"), 0.5]])
def test_an_activation_with_missing_parameters(tmp_path, values):
    file = opened("apertus", tmp_path)
    file.metadata["xielu.alpha_n"] = values
    with pytest.raises(SourceError, match=r"xielu\.alpha_n does not hold 3 numbers"):
        described(file)


def test_a_granite_whose_frequencies_were_not_trained_has_no_positions(tmp_path):
    decoder = described(opened("granite", tmp_path, {"rope.scaling.finetuned": False}))
    assert decoder.layers[0][0].mixers[0].rotary is None


def test_windows_longer_than_llama_4_s_chunks_are_refused(tmp_path):
    file = opened("llama4", tmp_path)
    check_context(file, 8192)
    with pytest.raises(SourceError, match=r"windows of 8193 tokens need attention in chunks.*8192 or less"):
        check_context(file, 8193)


def test_windows_follow_the_pattern_in_the_file(tmp_path):
    def windows(name, **metadata):
        decoder = described(opened(name, tmp_path, metadata, window=32, layers=4))
        return [layer[0].mixers[0].window for layer in decoder.layers]

    assert windows("cohere2") == [32, 32, 32, None]
    pattern = "attention.sliding_window_pattern"
    assert windows("cohere2", **{pattern: 2}) == [32, None, 32, None]
    assert windows("exaone4", **{pattern: [False, True, False, True]}) == [None, 32, None, 32]
    assert windows("olmo2", **{pattern: [False] * 4}) == [None] * 4


def test_a_cohere_mixture_must_state_which_layers_have_windows(tmp_path):
    file = opened("cohere2moe", tmp_path)
    del file.metadata["cohere2moe.attention.sliding_window_pattern"]
    with pytest.raises(SourceError, match="which layers have a window is not stated"):
        described(file)


def test_experts_beside_attention_see_the_same_norm(tmp_path):
    decoder = described(opened("cohere2moe", tmp_path))
    attends, mixture = decoder.layers[1]
    assert (attends.keeps, mixture.reads, mixture.norm, mixture.scale) == (
        mixture.reads,
        attends.keeps,
        None,
        0.5,
    )
