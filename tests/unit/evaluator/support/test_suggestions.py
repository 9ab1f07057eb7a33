"""Which names are suggested."""

from __future__ import annotations

import pytest

from evaluator.support.suggestions import did_you_mean, nearest

KNOWN = ["Q4_0", "Q4_K_M", "Q8_0", "IQ2_XXS"]


@pytest.mark.parametrize(
    ("name", "limit", "expected"),
    [
        ("q4_0", 1, "; did you mean Q4_0?"),
        ("Q4_KM", 1, "; did you mean Q4_K_M?"),
        ("q_0", 2, "; did you mean Q4_0 or Q8_0?"),
        ("float", 3, ""),
    ],
)
def test_names_alike_are_suggested(name, limit, expected):
    suggestion = did_you_mean(name, KNOWN, limit)
    assert sorted(suggestion.split()) == sorted(expected.split()) if limit > 1 else suggestion == expected


def test_known_names_are_listed_when_none_is_alike():
    assert nearest("float", KNOWN) == " (known: Q4_0, Q4_K_M, Q8_0, …)"
    assert nearest("float", KNOWN[:2]) == " (known: Q4_0, Q4_K_M)"
    assert nearest("float", []) == ""
    assert nearest("q8_0", KNOWN, 1) == "; did you mean Q8_0?"
