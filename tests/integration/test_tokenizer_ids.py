"""Ids of a hard text under every pre-tokenizer, against llama-tokenize on the same real vocabulary."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tokenizing import SPLITS, TEXT, digest

from evaluator.models.gguf.reader import open_gguf
from evaluator.models.sources.resolve import resolve_one
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def smollm2():
    return open_gguf(resolve_one("smollm2-135m"))


@pytest.mark.parametrize("name", SPLITS)
def test_ids_are_those_of_llama_cpp(smollm2, name):
    file = replace(smollm2, metadata={**smollm2.metadata, "tokenizer.ggml.pre": name})
    ids = tokenizer_from_gguf(file).encode(TEXT)
    assert len(ids) == SPLITS[name]["ids"]
    assert digest(ids) == SPLITS[name]["ids_sha256"]
