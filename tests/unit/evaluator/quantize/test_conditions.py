"""Conditions of recipes."""

from __future__ import annotations

import pytest

from evaluator.quantize.conditions import check_condition, holds

FACTS = {"layer": 3, "layers": 30, "quant": "Q4_K", "importance": False}
NAMES = frozenset(FACTS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("layer < layers // 8", False),
        ("layer <= layers // 8 and not importance", True),
        ("quant in ['Q4_K', 'Q5_K'] or layer > 100", True),
        ("2 <= layer < 7 * layers // 8", True),
        ("layer % 3 == 2", False),
        ("importance", False),
    ],
)
def test_value(text, expected):
    check_condition(text, NAMES)
    assert holds(text, FACTS) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layers <", "invalid syntax"),
        ("depth > 3", "unknown name 'depth'"),
        ("open('x')", "Call is not allowed"),
        ("layer.bit_length", "Attribute is not allowed"),
        ("layer ** 9", "Pow is not allowed"),
        ("layer < 0.5", "not an integer or a string"),
        ("[layer for layer in quant]", "ListComp is not allowed"),
    ],
)
def test_anything_else_is_refused(text, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        check_condition(text, NAMES)


@pytest.mark.parametrize("text", ["layer // 0 == 1", "quant < layer"])
def test_what_cannot_be_computed_is_said(text):
    check_condition(text, NAMES)
    with pytest.raises(ValueError, match="condition"):
        holds(text, FACTS)
