"""Suggestions for mistyped names."""

from __future__ import annotations

import pytest

from evaluator.support.suggestions import did_you_mean, nearest

KNOWN = ["Q4_0", "Q4_K_M", "Q8_0", "IQ2_XXS"]


@pytest.mark.parametrize(
    ("name", "limit", "expected"),
    [
        ("q4_0", 1, "; did you mean Q4_0?"),
        ("Q4_KM", 1, "; did you mean Q4_K_M?"),
        ("Q4_K_S", 2, "; did you mean Q4_K_M or Q4_0?"),
        ("float", 3, ""),
    ],
)
def test_names_alike_are_suggested(name, limit, expected):
    assert did_you_mean(name, KNOWN, limit) == expected


def test_known_names_are_listed_when_none_is_alike():
    assert nearest("float", KNOWN) == " (known: Q4_0, Q4_K_M, Q8_0, …)"
    assert nearest("float", KNOWN[:2]) == " (known: Q4_0, Q4_K_M)"
    assert nearest("float", []) == ""
    assert nearest("q8_0", KNOWN, 1) == "; did you mean Q8_0?"
