"""Rotary frequencies and scales, against explicit formulas."""

from __future__ import annotations

import math

import gguf
import numpy as np
import pytest
from random_families import write
from tiny_models import write_tiny_llama

from evaluator.export.exact.graph import Graph
from evaluator.export.exact.weights import rotary_inputs
from evaluator.models.architectures.rotary import (
    LOCAL_ROTARY_FREQUENCIES,
    check_context,
    rotary_frequencies,
    rotary_scale,
)
from evaluator.models.gguf.reader import open_gguf
from evaluator.support.errors import SourceError

STRING, F32, U32 = gguf.GGUFValueType.STRING, gguf.GGUFValueType.FLOAT32, gguf.GGUFValueType.UINT32
PLAIN = np.array([10000.0 ** (-2 * i / 64) for i in range(32)])


def tiny(tmp_path, **options):
    return open_gguf(write_tiny_llama(tmp_path / "m.gguf", layers=1, **options))


def frequencies(tmp_path, **options):
    return rotary_frequencies(tiny(tmp_path, **options))


def scaling(kind, factor=None, **more):
    keys = {"llama.rope.scaling.type": (kind, STRING)}
    if factor is not None:
        keys["llama.rope.scaling.factor"] = (factor, F32)
    return keys | {f"llama.rope.scaling.{name}": (value, F32) for name, value in more.items()}


def test_plain_frequencies_fall_from_one(tmp_path):
    np.testing.assert_allclose(frequencies(tmp_path), PLAIN, rtol=1e-6)


@pytest.mark.parametrize(
    "metadata",
    [
        scaling("linear", 4.0),
        {"llama.rope.scaling.factor": (4.0, F32)},
        {"llama.rope.scale_linear": (4.0, F32)},
    ],
)
def test_linear_scaling_divides_all(tmp_path, metadata):
    np.testing.assert_allclose(frequencies(tmp_path, metadata=metadata), PLAIN / 4, rtol=1e-6)


def test_kind_none_ignores_the_factor(tmp_path):
    np.testing.assert_allclose(frequencies(tmp_path, metadata=scaling("none", 4.0)), PLAIN, rtol=1e-6)


def test_yarn_keeps_the_fast_divides_the_slow_and_mixes_between(tmp_path):
    metadata = scaling("yarn", 4.0) | {"llama.rope.scaling.original_context_length": (4096, U32)}
    ratio = PLAIN / frequencies(tmp_path, metadata=metadata)
    turns = PLAIN * 4096 / (2 * math.pi)
    fast, slow = (
        turns > 32 * 1.34,
        turns < 1 / 1.34,
    )  # the bounds are rounded to whole indices, one step apart
    assert fast.sum() > 5
    assert slow.sum() > 5
    np.testing.assert_allclose(ratio[fast], 1, rtol=1e-6)
    np.testing.assert_allclose(ratio[slow], 4, rtol=1e-6)
    assert (np.diff(ratio[~fast & ~slow]) > 0).all()


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, 1.0),
        (scaling("linear", 4.0), 1.0),
        (scaling("yarn", 4.0), 1 + 0.1 * math.log(4)),
        (scaling("yarn", 4.0, yarn_attn_factor=1.5), 1.5),
        (
            scaling("yarn", 4.0, yarn_log_multiplier=0.5),
            (1 + 0.1 * math.log(4)) / (1 + 0.05 * math.log(4)),
        ),
        (scaling("yarn", 4.0, yarn_log_multiplier=0.5, yarn_attn_factor=1.5), 1.5),
        (scaling("longrope", attn_factor=1.19), 1.19),
    ],
)
def test_scale_of_sine_and_cosine(tmp_path, metadata, expected):
    assert rotary_scale(tiny(tmp_path, metadata=metadata)) == pytest.approx(expected)


def test_windows_longer_than_the_original_context_have_other_factors(tmp_path):
    file = open_gguf(write("phi3", tmp_path / "m.gguf", original=64))
    short, long = (file.dequantize(f"rope_factors_{which}.weight") for which in ("short", "long"))
    plain = 10000.0 ** (-np.arange(0, 16, 2) / 16)
    for length, factors in ((0, short), (64, short), (65, long)):
        np.testing.assert_allclose(rotary_frequencies(file, length=length), plain / factors, rtol=1e-6)
    check_context(file, 65)


def test_a_plain_graph_has_short_factors_only(tmp_path):
    file = open_gguf(write("phi3", tmp_path / "m.gguf", original=64))
    graph = Graph(tmp_path, (), plain_reason="a reason")
    assert rotary_inputs(file, graph, 64) == {}
    with pytest.raises(SourceError, match=r"windows of 65 tokens need rope_factors_long\.weight: a reason"):
        rotary_inputs(file, graph, 65)


def test_windows_longer_than_a_sliding_window_that_the_graph_lacks_are_refused(tmp_path):
    file = tiny(tmp_path, architecture="qwen2", metadata={"qwen2.attention.sliding_window": (16, U32)})
    check_context(file, 16)
    with pytest.raises(SourceError, match=r"windows of 17 tokens need a sliding window.*16 or less"):
        check_context(file, 17)


def test_windowed_layers_have_a_base_of_their_own_and_no_scaling(tmp_path):
    metadata = {
        "gemma3.attention.sliding_window": (16, U32),
        "gemma3.rope.scaling.factor": (8.0, F32),
        "gemma3.rope.freq_base_swa": (500.0, F32),
    }
    file = tiny(tmp_path, architecture="gemma3", metadata=metadata)
    local = rotary_frequencies(file, LOCAL_ROTARY_FREQUENCIES)
    np.testing.assert_allclose(local, [500.0 ** (-2 * i / 64) for i in range(32)], rtol=1e-6)
    np.testing.assert_allclose(rotary_frequencies(file), PLAIN / 8, rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"metadata": scaling("martian", 4.0)},
        {"metadata": scaling("linear", 0.0)},
        {"metadata": scaling("yarn", 4.0, yarn_ext_factor=0.5)},
        {"metadata": scaling("yarn", 4.0) | {"llama.rope.freq_base": (1.0, F32)}},
        {"frequency_factors": [1.0] * 16},
        {"frequency_factors": [0.0] * 32},
    ],
)
def test_what_would_be_got_wrong_is_refused(tmp_path, options):
    with pytest.raises(SourceError):
        frequencies(tmp_path, **options)
