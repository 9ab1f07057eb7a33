"""Numbers with their noun."""

from __future__ import annotations

import pytest

from evaluator.support.units import counted


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 windows"),
        (1, "1 window"),
        (2.0, "2 windows"),
        (1_234_567, "1,234,567 windows"),
        (1.5, "1.5 windows"),
    ],
)
def test_only_one_is_singular(number, text):
    assert counted(number, "window") == text
