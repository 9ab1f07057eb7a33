"""Numbers with their noun, and sizes."""

from __future__ import annotations

import pytest

from evaluator.support.units import counted, size_in_words


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


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(999, "less than 1 MB"), (1_000_000, "1 MB"), (704_659_456, "705 MB"), (3_110_000_000, "3.1 GB")],
)
def test_sizes(n_bytes, text):
    assert size_in_words(n_bytes) == text
