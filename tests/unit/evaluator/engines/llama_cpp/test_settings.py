"""Numbers that llama.cpp's settings have in its headers."""

from __future__ import annotations

from gguf import GGMLQuantizationType

from evaluator.engines.llama_cpp.settings import CACHE_TYPES


def test_types_of_the_cache_have_ggmls_numbers():
    assert {name: GGMLQuantizationType[name.upper()] for name in CACHE_TYPES} == CACHE_TYPES
