"""Memory between the contexts that were measured, by hand."""

from __future__ import annotations

import polars as pl
import pytest

from dashboard.insights.memory_need import MemoryNeeds

COLUMNS = ("variant_id", "engine", "cache_type", "context", "weights_bytes", "cache_bytes", "compute_bytes")
FRAME = pl.DataFrame(
    [
        ("a", "llama.cpp", "f16", 4096, 1000, 4000, 140),
        ("a", "llama.cpp", "f16", 512, 1000, 500, 100),
        ("a", "llama.cpp", "q8_0", 4096, 1000, 2000, 140),
        ("a", "llama.cpp", "q4_0", 4096, None, 1000, 140),
        ("a", "onnxruntime", "f16", 8192, 900, 9000, None),
    ],
    schema=COLUMNS,
    orient="row",
)
NEEDS = MemoryNeeds.of(FRAME)


@pytest.mark.parametrize(
    ("context", "cache", "buffers"),
    [(4096, 4000, 140), (512, 500, 100), (2304, 2250, 120), (1408, 1375, 110), (1, 500, 100)],
)
def test_it_is_linear_between_contexts_and_the_least_of_a_shorter_one(context, cache, buffers):
    """2,304 is in the middle, 1,408 a quarter of the way."""
    need = NEEDS.at("a", "llama.cpp", "f16", context)
    assert (need.file, need.cache, need.buffers) == pytest.approx((1000, cache, buffers))
    assert need.total == pytest.approx(1000 + cache + buffers)


def test_nothing_is_known_beyond_the_longest_context():
    assert NEEDS.at("a", "llama.cpp", "f16", 4097) is None
    assert NEEDS.longest("a", "llama.cpp") == 4096


def test_nothing_is_known_of_other_files_engines_and_types():
    assert NEEDS.at("b", "llama.cpp", "f16", 512) is None
    assert NEEDS.at("a", "other", "f16", 512) is None
    assert NEEDS.at("a", "llama.cpp", "q4_0", 512) is None
    assert NEEDS.longest("b", "llama.cpp") == 0
    assert MemoryNeeds.of(None).types("a", "llama.cpp") == []


def test_types_are_ordered_by_size():
    assert NEEDS.types("a", "llama.cpp") == ["f16", "q8_0"]


def test_the_sum_in_words():
    frame = FRAME.with_columns(pl.col("weights_bytes", "cache_bytes", "compute_bytes") * 1_000_000)
    needs = MemoryNeeds.of(frame)
    need = needs.at("a", "llama.cpp", "q8_0", 4096)
    assert need.in_words == (
        "weights 1.00 GB + cache 2.00 GB + buffers 140.0 MB = 3.14 GB at 4,096 tokens, q8_0 cache"
    )
    unknown = needs.at("a", "onnxruntime", "f16", 8192)
    assert unknown.in_words == (
        "weights 900.0 MB + cache 9.00 GB = 9.90 GB at 8,192 tokens, f16 cache; buffers are not known"
    )
