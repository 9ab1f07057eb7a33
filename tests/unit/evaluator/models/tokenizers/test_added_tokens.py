"""The tokens that are cut out of texts, and their order."""

from __future__ import annotations

import pytest

from evaluator.models.tokenizers.added_tokens import added_tokens, fragments

FIM = "<|fim_prefix|>"


@pytest.mark.parametrize(
    ("text", "tokens", "expected"),
    [
        ("", ["a"], []),
        ("abc", [], [("abc", False)]),
        ("abc", ["b"], [("a", False), ("b", True), ("c", False)]),
        ("bb", ["b"], [("b", True), ("b", True)]),
        ("xaby", ["a", "ab"], [("x", False), ("ab", True), ("y", False)]),
        ("abcd", ["ab", "bcd"], [("a", False), ("bcd", True)]),  # from the left it would be ab, cd
        ("aéb", ["aé", "b"], [("aé", True), ("b", True)]),
    ],
)
def test_longest_token_is_cut_first(text, tokens, expected):
    assert fragments(text, tokens) == expected
    assert "".join(part for part, _ in fragments(text, tokens)) == text


@pytest.mark.parametrize(
    ("token", "user_defined", "keys", "cut"),
    [
        ("<tool>", True, (), True),
        ("<tool>", False, (), False),
        ("<|endoftext|>", True, (), False),
        ("<|start|>", False, (), True),
        (FIM, True, (), False),
        (FIM, True, ("tokenizer.ggml.fim_pre_token_id",), True),
        (FIM, False, ("tokenizer.ggml.fim_pre_token_id",), False),
        ("", True, (), False),
    ],
)
def test_type_decides_but_for_what_llama_cpp_knows_by_name(token, user_defined, keys, cut):
    assert added_tokens(["other", token], [False, user_defined], keys) == ([token] if cut else [])


def test_many_tokens_are_cut_out_like_few():
    few = ["a", "ab", "bcd", "é", "<x>"]
    many = [*(f"<unused{number}>" for number in range(100)), *few]
    for text in ("xabcdé<x>a", "", "x", "<unused7>ab<unused", "éé", "<"):
        expected = fragments(text, [token for token in many if token in text])
        assert fragments(text, many) == expected
        assert "<unused7>" not in text or ("<unused7>", True) in expected
