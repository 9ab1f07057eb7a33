"""SentencePiece merging, against examples by hand and a naive implementation of the rule."""

from __future__ import annotations

import random

import pytest
from llama_vocabulary import llama_vocabulary
from sentencepiece_vocabularies import USER_DEFINED, trained_pieces, write_vocabulary
from tokenizing import TEXT, mixed_text

from evaluator.models.gguf.reader import open_gguf
from evaluator.models.text_rules import TextRules
from evaluator.models.tokenizers import sentencepiece
from evaluator.models.tokenizers.sentencepiece import SentencePiece
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf

TOKENS = ["<unk>", "▁", "a", "b", "c", "ab", "bc", "▁a", "abc", "<0xC3>", "<0xA9>", "<tool>"]


def model(scores=None, **changes) -> SentencePiece:
    settings = {
        "ids": {token: index for index, token in enumerate(TOKENS)},
        "scores": scores or [-float(index) for index in range(len(TOKENS))],
        "added": ["<tool>"],
        "unknown_id": 0,
        "space_prefix": False,
    } | changes
    return SentencePiece(**settings)


def spelled(ids: list[int]) -> list[str]:
    return [TOKENS[index] for index in ids]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abc", ["abc"]),  # ab scores above bc, then abc
        ("bcbc", ["bc", "bc"]),
        (" a", ["▁a"]),
        (" ab", ["▁", "ab"]),  # ab was better than ▁a, and ▁ab is no token
        ("é", ["<0xC3>", "<0xA9>"]),
        ("x", ["<unk>"]),
        ("a<tool>b", ["a", "<tool>", "b"]),
        ("", []),
    ],
)
def test_hand_worked(text, expected):
    assert spelled(model().encode(text)) == expected


def test_a_better_score_is_merged_first():
    scores = [-float(index) for index in range(len(TOKENS))]
    scores[TOKENS.index("bc")] = 1.0
    without = {token: index for index, token in enumerate(TOKENS) if token != "abc"}
    assert spelled(model(scores, ids=without).encode("abc")) == ["a", "bc"]


def test_equal_scores_merge_the_leftmost():
    tokens = ["<unk>", "a", "aa"]
    ids = {token: index for index, token in enumerate(tokens)}
    assert model([-1.0] * 3, ids=ids, added=[]).encode("aaa") == [2, 1]


def test_a_space_is_put_before_the_text_and_after_what_is_cut_out():
    assert spelled(model(space_prefix=True).encode("a<tool>a")) == ["▁a", "<tool>", "▁a"]


UNKNOWN = 0


def naive(text: str, ids: dict[str, int], scores: list[float], *, fuses: bool = False) -> list[int]:
    symbols = list(text)
    while True:
        pairs = [
            (-scores[ids[symbols[i] + symbols[i + 1]]], i)
            for i in range(len(symbols) - 1)
            if symbols[i] + symbols[i + 1] in ids
        ]
        if not pairs:
            found = [ids.get(symbol, UNKNOWN) for symbol in symbols]
            return [i for n, i in enumerate(found) if not (fuses and n and i == found[n - 1] == UNKNOWN)]
        _, place = min(pairs)
        symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]


@pytest.fixture(params=[{}, {"_BLOCK": 7, "_KEPT_SEGMENTS": 3, "_KEPT_CHARACTERS": 4}], ids=["", "small"])
def _limits(request, monkeypatch):
    for name, value in request.param.items():
        monkeypatch.setattr(sentencepiece, name, value)


@pytest.mark.usefixtures("_limits")
@pytest.mark.parametrize("letters", ["abcd", "abcdefghijkl"], ids=["one segment", "many segments"])
@pytest.mark.parametrize("fuses", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_long_texts_merge_as_the_rule_says(seed, letters, fuses):
    generator = random.Random(seed)
    pieces = {"".join(generator.choices(letters, k=generator.randint(2, 4))) for _ in range(40)}
    tokens = ["<unk>", *letters, *sorted(pieces)]
    ids = {token: index for index, token in enumerate(tokens)}
    scores = [float(generator.randint(-5, 0)) for _ in tokens]
    text = "".join(generator.choices(letters + "?!", k=300))
    merging = model(scores, ids=ids, added=[], rules=TextRules(fuses_unknown=fuses))
    expected = naive(text, ids, scores, fuses=fuses)
    assert merging.encode(text) == expected
    assert merging.encode(text) == expected  # now from the kept segments
    assert len(merging._kept) <= sentencepiece._KEPT_SEGMENTS


@pytest.mark.parametrize("space_prefix", [True, False])
def test_ids_are_those_of_llama_cpp(tmp_path, space_prefix):
    pieces = [*trained_pieces(2000), ("<tool>", -1000.0, USER_DEFINED), ("a\n", -1000.0, USER_DEFINED)]
    path = write_vocabulary(tmp_path / "v.gguf", pieces, space_prefix=space_prefix)
    generator = random.Random(0)
    texts = [TEXT, *(mixed_text(generator, 300, ["<tool>", "a\n", "<s>", "<0x41>"]) for _ in range(20))]
    tokenizer = tokenizer_from_gguf(open_gguf(path))
    assert [tokenizer.encode(text).tolist() for text in texts] == llama_vocabulary(path, texts).ids


def test_texts_are_cut_between_words_and_not_inside_tokens():
    assert model().safe_cuts("ab abc.a") == [2, 6, 7]  # "ab", "bc" and "▁a" are in tokens
    assert model().safe_cuts("b b") == [1]  # what precedes a token may lose its white space
    assert model().safe_cuts("") == model().safe_cuts("a") == []
