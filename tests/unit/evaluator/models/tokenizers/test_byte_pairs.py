"""Byte-pair encoding with gaps in the alphabet, and of texts as they are written, against llama.cpp."""

from __future__ import annotations

import random

import pytest
from llama_vocabulary import llama_vocabulary
from sentencepiece_vocabularies import NORMAL, USER_DEFINED, with_merges, write_vocabulary
from tiny_models import byte_symbols
from tokenizing import AS_WRITTEN, TEXT, mixed_text, random_text

from evaluator.models.gguf.reader import open_gguf
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf
from evaluator.models.tokenizers.vocabulary import vocabulary_frame
from evaluator.support.errors import SourceError

#: Kind of tokenizer, and `tokenizer.ggml.pre`.
KINDS = [("gemma4", None), ("gemma4", "gpt-2"), *(("gpt2", name) for name in AS_WRITTEN)]
TOOL = "<tool>"


@pytest.fixture(scope="module")
def learnt():
    generator = random.Random(1)
    return with_merges(1500, [mixed_text(generator, 12) + "\n" * (seed % 4) for seed in range(1500)])


@pytest.mark.parametrize(("kind", "pre"), KINDS)
def test_ids_are_those_of_llama_cpp(tmp_path, learnt, kind, pre):
    pieces, merges = learnt
    added = [*pieces, (TOOL, 0.0, USER_DEFINED), ("<|tool_response>", 0.0, USER_DEFINED)]
    options = {"model": kind, "pre": pre, "merges": merges, "space_prefix": False, "bos": 2}
    path = write_vocabulary(tmp_path / "v.gguf", added, **options)
    generator = random.Random(2)
    texts = [TEXT, "a\n\n\nb\n\n\n\n", *(mixed_text(generator, 100, [TOOL, "</s>"]) for _ in range(20))]
    texts += [random_text(generator, 60) for _ in range(20)]
    file, expected = open_gguf(path), llama_vocabulary(path, texts)
    tokenizer = tokenizer_from_gguf(file)
    assert [tokenizer.encode(text).tolist() for text in texts] == expected.ids
    assert tokenizer.bos_id == expected.bos_id == (None if pre == "sarvam-moe" else 2)
    cut = [tokenizer.encode(text, 7).tolist() for text in texts]
    assert cut == [ids[:7] for ids in expected.ids]
    tokens = file.metadata["tokenizer.ggml.tokens"]
    frame = vocabulary_frame(file, "m", [tokens.index("▁"), tokens.index("<0x41>")])
    assert sorted(frame["piece"]) == [" ", "A"]


def test_bytes_without_tokens_are_an_error(tmp_path, learnt):
    pieces, merges = learnt
    some = [piece for piece in pieces if piece[0] not in {"<0x41>", "<0xFF>"}]
    file = open_gguf(write_vocabulary(tmp_path / "v.gguf", some, model="gemma4", merges=merges))
    with pytest.raises(SourceError, match="there are no tokens for 2 bytes, such as <0x41>"):
        tokenizer_from_gguf(file)


def test_bytes_without_tokens_are_left_out_but_not_merged_across(tmp_path):
    pieces = [(symbol, 0.0, NORMAL) for symbol in byte_symbols() if symbol not in {"X", "Ġ", "Ģ"}]
    pieces += [("ab", 0.0, NORMAL), ("bc", 0.0, NORMAL)]
    options = {"model": "gpt2", "pre": "gpt-2", "merges": ["a b", "b c"]}
    path = write_vocabulary(tmp_path / "v.gguf", pieces, **options)
    texts = ["aXb", "aXbc", "XaXb", "a b", "Xab", "a\u0400b", "X"]
    tokenizer = tokenizer_from_gguf(open_gguf(path))
    assert [tokenizer.encode(text).tolist() for text in texts] == llama_vocabulary(path, texts).ids
