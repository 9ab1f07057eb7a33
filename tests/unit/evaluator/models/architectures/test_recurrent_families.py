"""Families with recurrent layers: every token as in llama.cpp, and the files that are refused."""

from __future__ import annotations

import pytest
from family_differences import differences, keys
from random_families import write

from evaluator.models.architectures import described
from evaluator.models.architectures.mixers import Experts, Mamba
from evaluator.models.gguf.reader import open_gguf
from evaluator.support.errors import SourceError

KEYS = [
    *(key for key in keys("qwen35") if key.startswith("qwen3next")),
    *keys("lfm2", "granitehybrid", "nemotron_h", "falcon-h1"),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return differences(tmp_path_factory.mktemp("families"), KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_every_token_s_probability_is_llama_cpp_s(found, key):
    assert found[key] < 1e-4


def refusal(tmp_path, name, metadata, **options):
    file = open_gguf(write(name, tmp_path / "m.gguf", **options))
    file.metadata.update(metadata)
    with pytest.raises(SourceError) as raised:
        described(file)
    return str(raised.value)


@pytest.mark.parametrize(
    ("name", "key", "value", "reason"),
    [
        ("lfm2", "lfm2.attention.causal", False, "does not compute"),
        ("lfm2", "lfm2.shortconv.l_cache", 0, "a whole number from 1"),
        ("granitehybrid", "granitehybrid.ssm.time_step_rank", 3, "do not divide"),
        ("granitehybrid", "granitehybrid.ssm.dt_b_c_rms", True, "does not compute"),
        ("nemotron_h", "nemotron_h.ssm.group_count", 3, "do not divide"),
        ("falcon-h1", "falcon-h1.attention.sliding_window", 32, "does not compute"),
    ],
)
def test_a_setting_that_is_not_computed(tmp_path, name, key, value, reason):
    assert reason in refusal(tmp_path, name, {key: value})


def test_experts_may_differ_between_layers(tmp_path):
    file = open_gguf(write("nemotron_h", tmp_path / "m.gguf", pattern="ME*E"))
    file.metadata["nemotron_h_moe.expert_used_count"] = [0, 2, 0, 3]
    decoder = described(file)
    routed = [part.experts for (part,) in decoder.layers if isinstance(part.experts, Experts)]
    assert [experts.router.used for experts in routed] == [2, 3]
    assert isinstance(decoder.layers[0][0].mixers[0], Mamba)
