"""Every way to split texts, against llama.cpp on a difficult text."""

from __future__ import annotations

import pytest
from tokenizing import SPLITS, TEXT, digest

from evaluator.models.tokenizers.pretokenizers import PRE_TOKENIZERS


@pytest.mark.parametrize("name", SPLITS)
def test_words_are_those_of_llama_cpp(name):
    words = PRE_TOKENIZERS[name].build().pre_tokenize_str(TEXT)
    lengths = [end - start for _, (start, end) in words]
    assert len(lengths) == SPLITS[name]["words"]
    assert digest(lengths) == SPLITS[name]["sha256"]


def test_every_way_to_split_is_checked():
    assert {PRE_TOKENIZERS[name] for name in SPLITS} == set(PRE_TOKENIZERS.values())


@pytest.mark.parametrize("name", PRE_TOKENIZERS)
def test_published_spelling_splits_ordinary_text_alike(name):
    text = "It's 3 o'clock; we paid 42 euros, didn't we?\n\n  Yes: 7.5%!\n"
    splitting = PRE_TOKENIZERS[name]
    words = [word for word, _ in splitting.build().pre_tokenize_str(text)]
    assert len(words) > 10
    assert [word for word, _ in splitting.published().pre_tokenize_str(text)] == words
