"""DeepSeek's families: every token as in llama.cpp, and the files that are refused."""

from __future__ import annotations

import pytest
from family_differences import differences, keys
from random_families import write

from evaluator.models.architectures import described
from evaluator.models.architectures.mixers import LatentAttention
from evaluator.models.gguf.reader import open_gguf
from evaluator.support.errors import SourceError

KEYS = keys("deepseek2", "deepseek")
#: Rounding adds up in 27 layers.
DEEP = {"deepseek2-lite": 5e-4}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return differences(tmp_path_factory.mktemp("families"), KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_every_token_s_probability_is_llama_cpp_s(found, key):
    assert found[key] < DEEP.get(key, 1e-4)


def opened(tmp_path, metadata=(), **options):
    file = open_gguf(write("deepseek2", tmp_path / "m.gguf", **options))
    file.metadata.update({f"deepseek2.{key}": value for key, value in dict(metadata).items()})
    return file


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("rope.dimension_count", 48, "48 of the 48 dimensions"),
        ("attention.sliding_window", 32, "does not compute"),
        ("rope.scaling.yarn_ext_factor", 0.5, "not 1"),
        ("expert_gating_func", 9, "function 9, which is not known"),
        ("expert_group_used_count", 5, "damaged"),
    ],
)
def test_a_setting_that_is_not_computed(tmp_path, key, value, reason):
    with pytest.raises(SourceError, match=reason):
        described(opened(tmp_path, {key: value}))


def attention_of(decoder):
    (mixer,) = decoder.layers[0][0].mixers
    assert isinstance(mixer, LatentAttention)
    return mixer


def test_only_scores_become_sharper_if_the_file_has_a_multiplier(tmp_path):
    decoder = described(opened(tmp_path))
    assert decoder.rotary[0].scale == 1.0
    sharper = 1 + 0.0707 * 2.0794415  # ln 8
    assert attention_of(decoder).scale == pytest.approx(sharper**2 / 48**0.5, rel=1e-6)


def test_without_a_multiplier_rotations_and_scores_are_scaled(tmp_path):
    file = opened(tmp_path)
    del file.metadata["deepseek2.rope.scaling.yarn_log_multiplier"]
    decoder, scale = described(file), 1 + 0.1 * 2.0794415
    assert decoder.rotary[0].scale == pytest.approx(scale)
    assert attention_of(decoder).scale == pytest.approx(scale**2 / 48**0.5)


def test_queries_grow_with_the_position_if_the_file_says_so(tmp_path):
    metadata = {"attention.temperature_scale": 0.1, "attention.temperature_length": 32}
    heat = attention_of(described(opened(tmp_path, metadata))).temperature
    assert (heat.factor, heat.span, heat.offset) == (0.1, 32, 0.0)


def test_first_files_of_glm_flash_do_not_state_the_sigmoid(tmp_path):
    file = opened(tmp_path, layers=2)
    del file.metadata["deepseek2.expert_gating_func"]
    assert described(file).experts.router.gating == "softmax"


def test_a_model_may_be_dense_throughout(tmp_path):
    file = opened(tmp_path, layers=1, groups=None)
    del file.metadata["deepseek2.expert_count"], file.metadata["deepseek2.expert_used_count"]
    assert described(file).experts is None
    file.metadata["deepseek2.leading_dense_block_count"] = 0
    with pytest.raises(SourceError, match="only 0 of 1 layers are dense"):
        described(file)
