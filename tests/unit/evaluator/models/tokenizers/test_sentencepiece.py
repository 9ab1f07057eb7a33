"""SentencePiece merging, against examples by hand and a naive implementation of the rule."""

from __future__ import annotations

import random

import pytest

from evaluator.models.tokenizers.sentencepiece import SentencePiece

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


def naive(text: str, ids: dict[str, int], scores: list[float]) -> list[int]:
    symbols = list(text)
    while True:
        pairs = [
            (-scores[ids[symbols[i] + symbols[i + 1]]], i)
            for i in range(len(symbols) - 1)
            if symbols[i] + symbols[i + 1] in ids
        ]
        if not pairs:
            return [ids[symbol] for symbol in symbols]
        _, place = min(pairs)
        symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]


@pytest.mark.parametrize("seed", range(20))
def test_long_texts_merge_as_the_rule_says(seed):
    generator = random.Random(seed)
    letters = "abcd"
    pieces = {"".join(generator.choices(letters, k=generator.randint(2, 4))) for _ in range(40)}
    tokens = [*letters, *sorted(pieces)]
    ids = {token: index for index, token in enumerate(tokens)}
    scores = [float(generator.randint(-5, 0)) for _ in tokens]
    text = "".join(generator.choices(letters, k=200))
    found = model(scores, ids=ids, added=[]).encode(text)
    assert found == naive(text, ids, scores)
