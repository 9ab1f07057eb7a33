"""Classes of characters have the size that they have in llama.cpp's tables."""

from __future__ import annotations

import pytest
from tokenizers import Regex, normalizers, pre_tokenizers

from evaluator.models.tokenizers.unicode_classes import with_known_characters

ALL = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)


@pytest.mark.parametrize(
    ("name", "size"), [("L", 136_726), ("M", 2_450), ("N", 1_831), ("P", 842), ("S", 7_775)]
)
def test_classes_are_those_of_unicode_15_1(name, size):
    pattern = Regex(with_known_characters(rf"\p{{{name}}}+"))
    assert len(normalizers.Replace(pattern, "").normalize_str(ALL)) == len(ALL) - size


def test_class_inside_a_class_is_replaced_too():
    split = pre_tokenizers.Split(Regex(with_known_characters(r"[^\s\p{L}]+")), behavior="isolated")
    assert [word for word, _ in split.pre_tokenize_str("a\u1c8a. b")] == ["a", "\u1c8a.", " b"]
