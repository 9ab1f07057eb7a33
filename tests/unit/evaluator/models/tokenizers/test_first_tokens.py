"""The first ids of texts, against those of the whole text, and how much of a text is encoded for them."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace

import numpy as np
import pytest
from sentencepiece_vocabularies import USER_DEFINED, trained_pieces, with_merges, write_vocabulary
from tiny_models import CONTROL, write_tiny_llama
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from tokenizing import AS_WRITTEN, BYTE_LEVEL, TEXT, mixed_text

from evaluator.models.gguf.reader import GGUFFile, open_gguf
from evaluator.models.text_rules import NO_RULES, TextRules
from evaluator.models.tokenizers.first_tokens import WHOLE_TEXTS, FirstTokens, cuts_after_words
from evaluator.models.tokenizers.pretokenizers import PRE_TOKENIZERS
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf
from evaluator.texts.chat import control_tokens, encode_with_control
from evaluator.texts.sources import built_in_texts

#: Tokens that safe cuts could fall into, or that remove white space.
ADDED = ["<tool>", "s, t", "éa", "éa, x", " ."]
STRIPPING = TextRules(composed=True, strips_before=frozenset(ADDED[:1]), strips_after=frozenset(ADDED[:2]))
PLAIN = [item.content for item in built_in_texts()]


@dataclass(frozen=True)
class WithRules(GGUFFile):
    """A GGUF file with the rules of a checkpoint."""

    rules: TextRules = NO_RULES

    @property
    def text_rules(self):
        return self.rules


def with_rules(file, rules):
    return WithRules(file.path, file.metadata, file.value_types, file.tensors, file._data, rules)


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory):
    """A vocabulary whose merges do not stop at words, so that other splits give other ids."""
    library = Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1500, initial_alphabet=alphabet, show_progress=False)
    generator = random.Random(1)
    lines = [mixed_text(generator, 12) for _ in range(3000)]
    library.train_from_iterator(
        [*lines, *(text[at : at + 80] for text in PLAIN for at in range(0, 3000, 80))], trainer
    )
    pairs = json.loads(library.to_str())["model"]["merges"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in pairs]
    folder = tmp_path_factory.mktemp("vocabularies")
    added = [(token, USER_DEFINED) for token in ADDED] + [("<|a|>", CONTROL)]
    return open_gguf(
        write_tiny_llama(folder / "b.gguf", hidden=32, layers=1, ffn=32, merges=merges, tokens=added)
    )


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    added = [*((token, -1000.0, USER_DEFINED) for token in ADDED), ("<|a|>", 0.0, CONTROL)]
    # Without most byte tokens, so that there are unknown characters.
    learnt = [piece for piece in trained_pieces(2000) if not piece[0].startswith(("<0xE", "<0xF"))]
    return open_gguf(write_vocabulary(tmp_path_factory.mktemp("vocabularies") / "p.gguf", [*learnt, *added]))


@pytest.fixture(scope="module")
def as_written(tmp_path_factory):
    generator = random.Random(1)
    learnt, merges = with_merges(1000, [mixed_text(generator, 12) for _ in range(1000)])
    added = [(token, 0.0, USER_DEFINED) for token in ADDED]
    path = tmp_path_factory.mktemp("vocabularies") / "w.gguf"
    return open_gguf(write_vocabulary(path, [*learnt, *added], model="gpt2", pre="gemma4", merges=merges))


def texts():
    generator = random.Random(2)
    yield from (TEXT, "", "word", "one, two, three", "e\u0301a, x and " * 60)
    yield from (text[:1500] for text in PLAIN)
    for _ in range(12):
        yield mixed_text(generator, 300, [*ADDED, "e\u0301a", "<|a|>"])


def check(encode, shortest=1):
    """Compare the first ids of all texts, for random numbers of them; most texts are cut."""
    generator = random.Random(3)
    for text in texts():
        whole = encode(text, None).tolist()
        assert encode(text, len(whole) + 1).tolist() == whole
        for limit in {
            shortest,
            7,
            *(generator.randint(1, len(whole) // 4 + 1) for _ in range(6)),
            len(whole),
        }:
            assert encode(text, limit).tolist() == whole[:limit], (text, limit)


@pytest.mark.parametrize("rules", [NO_RULES, STRIPPING], ids=["", "rules"])
@pytest.mark.parametrize("name", [*BYTE_LEVEL, *AS_WRITTEN])
def test_first_ids_are_those_of_the_whole_text(byte_level, as_written, name, rules):
    file = byte_level if name in BYTE_LEVEL else as_written
    file = replace(file, metadata={**file.metadata, "tokenizer.ggml.pre": name})
    check(tokenizer_from_gguf(with_rules(file, rules)).encode)


@pytest.mark.parametrize("name", BYTE_LEVEL)
def test_ids_up_to_each_safe_cut_are_first_ids_of_the_whole_text(byte_level, name):
    metadata = {**byte_level.metadata, "tokenizer.ggml.pre": name, "tokenizer.ggml.token_type": []}
    tokenizer = tokenizer_from_gguf(replace(byte_level, metadata=metadata))
    for text in texts():
        whole = tokenizer.encode(text).tolist()
        for cut in PRE_TOKENIZERS[name].safe_cuts(text):
            ids = tokenizer.encode(text[:cut]).tolist()
            assert ids == whole[: len(ids)], (text[:cut], text[cut:])


@pytest.mark.parametrize("fuses", [False, True])
def test_first_ids_of_sentencepiece_are_those_of_the_whole_text(pieces, fuses):
    check(tokenizer_from_gguf(with_rules(pieces, replace(STRIPPING, fuses_unknown=fuses))).encode)


@pytest.mark.parametrize("kind", ["byte_level", "pieces"])
def test_first_ids_of_a_chat_are_those_of_the_whole_chat(request, kind):
    file = with_rules(request.getfixturevalue(kind), STRIPPING)
    tokenizer, control = tokenizer_from_gguf(file), control_tokens(file)
    assert {"<|a|>", *ADDED} <= control.keys()
    check(lambda text, limit: encode_with_control(tokenizer, text, control, limit))


class Recorder:
    """Encodes every character as its code, and notes the texts that it was given."""

    def __init__(self):
        self.texts = []

    @property
    def sizes(self):
        return [len(text) for text in self.texts]

    def __call__(self, text):
        self.texts.append(text)
        return [ord(letter) for letter in text]


def test_little_more_than_needed_is_encoded_of_a_long_text():
    text, encode = PLAIN[0] * 500, Recorder()
    assert FirstTokens(cuts_after_words).ids(text, 1000, encode) == [ord(letter) for letter in text[:1000]]
    assert 1000 <= sum(encode.sizes) <= 5000 < len(text) / 100


def test_more_is_encoded_until_there_are_enough_ids():
    sizes = []

    def a_word_is_a_token(text):
        sizes.append(len(text))
        return text.split()

    text = "internationalization, " * 10_000
    assert FirstTokens(cuts_after_words).ids(text, 50, a_word_is_a_token) == text.split()[:50]
    assert len(sizes) > 1
    assert sum(sizes) < 5000


@pytest.mark.parametrize(
    "first", [WHOLE_TEXTS, FirstTokens(cuts_after_words)], ids=["any text", "no safe cut"]
)
def test_text_that_cannot_be_cut_is_encoded_whole(first):
    text, encode = "= " * 10_000, Recorder()
    assert first.ids(text, 10, encode) == [ord(letter) for letter in text[:10]]
    assert encode.sizes[-1] == len(text)
    assert set(encode.sizes[:-1]) == {0}


def test_texts_are_not_cut_inside_added_tokens():
    text, ends = "ab, c, " * 100, {}
    for added in ([], ["ab, c"]):
        encode = Recorder()
        for limit in range(1, 100):
            FirstTokens(cuts_after_words, added).ids(text, limit, encode)
        ends[bool(added)] = {part[-2:] for part in encode.texts if part not in {"", text}}
    assert ends == {False: {"ab", " c"}, True: {" c"}}


@pytest.mark.parametrize("kind", ["byte_level", "pieces"])
def test_ids_are_int32_and_there_are_no_more_than_asked_for(request, kind):
    ids = tokenizer_from_gguf(request.getfixturevalue(kind)).encode(PLAIN[0], 5)
    assert ids.dtype == np.int32
    assert ids.shape == (5,)
