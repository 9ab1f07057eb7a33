"""Every way to split texts, against llama.cpp."""

from __future__ import annotations

import json
import random
import re

import pytest
from llama_vocabulary import llama_vocabularies
from pair_vocabularies import pair_merges, write_pairs
from tokenizers import Tokenizer, models
from tokenizing import BYTE_LEVEL, NAMES, TEXT, mixed_text, random_text

from evaluator.models.gguf.reader import open_gguf
from evaluator.models.tokenizers.pretokenizers import PRE_TOKENIZERS
from evaluator.models.tokenizers.published import published_steps
from evaluator.models.tokenizers.recognition import as_json
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf

#: Families that split numbers further than llama.cpp; they have no tokens of several digits or with a space.
NUMBERS_APART = ("falcon", "deepseek-llm")


def texts() -> list[str]:
    generator = random.Random(7)
    longer = (text(generator, n) for text in (mixed_text, random_text) for n in (3, 8, 30) for _ in range(40))
    return [TEXT, *longer]


@pytest.fixture(scope="module")
def files_and_ids(tmp_path_factory):
    """Return a vocabulary per name, with llama.cpp's ids of the texts."""
    merges, folder = pair_merges(texts()), tmp_path_factory.mktemp("pairs")
    paths = [write_pairs(folder / f"{name}.gguf", merges, name) for name in BYTE_LEVEL]
    found = llama_vocabularies(paths, texts())
    return {name: (path, item.ids) for name, path, item in zip(BYTE_LEVEL, paths, found, strict=True)}


@pytest.mark.parametrize("name", BYTE_LEVEL)
def test_texts_are_split_as_by_llama_cpp(files_and_ids, name):
    path, expected = files_and_ids[name]
    tokenizer = tokenizer_from_gguf(open_gguf(path))
    for text, ids in zip(texts(), expected, strict=True):
        assert tokenizer.encode(text).tolist() == ids, text


def test_every_name_is_known_to_llama_cpp(tmp_path):
    names = list(PRE_TOKENIZERS)
    paths = [write_pairs(tmp_path / f"{name}.gguf", pair_merges(["ab"]), name) for name in names]
    assert [item.ids for item in llama_vocabularies(paths, ["ab"])] == [[[256]]] * len(names)


@pytest.mark.parametrize("name", BYTE_LEVEL)
def test_published_spelling_splits_ordinary_text_alike(name):
    text = "It's 3 o'clock; we paid 42 euros, didn't we?\n\n  Yes: 7.5%!\n"
    if name in NUMBERS_APART:
        text = re.sub(r" ?\d+", "", text)
    splitting = PRE_TOKENIZERS[name]
    words = [word for word, _ in splitting.build().pre_tokenize_str(text)]
    assert len(words) > 3
    required = {"trim_offsets": True, "invert": False}  # the library has no defaults
    steps = [required | as_json(step) for step in published_steps(splitting.patterns)]
    content = json.loads(Tokenizer(models.BPE()).to_str())
    content |= {"pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}}
    published = Tokenizer.from_str(json.dumps(content)).pre_tokenizer
    assert [word for word, _ in published.pre_tokenize_str(text)] == words


def test_names_stand_for_all_ways():
    assert {PRE_TOKENIZERS[name] for name in NAMES} == set(PRE_TOKENIZERS.values())
