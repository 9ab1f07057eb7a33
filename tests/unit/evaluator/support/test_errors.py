"""Messages that quote untrusted text."""

from __future__ import annotations

import pytest

from evaluator.support.errors import RequestError, SourceError, one_line


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\nb\r\nc", "a\x00\x07b", "\x9b31mred", "x\u202ey", "\ud800"])
def test_what_a_terminal_would_obey_is_replaced(text):
    for shown in (
        str(RequestError(text)),
        str(SourceError("m.gguf", text)),
        SourceError("m.gguf", text).reason,
    ):
        assert shown.isprintable()
        assert shown.isascii() or "\N{REPLACEMENT CHARACTER}" in shown


def test_words_stay_as_they_are():
    assert one_line("Größe 日本: 5 × 3, ok…") == "Größe 日本: 5 × 3, ok…"


def test_megabytes_are_cut():
    assert len(one_line("x" * 10_000_000)) < 1100
