"""Cutting texts into windows, with a stub tokenizer whose ids are predictable."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from evaluator.models.text_rules import NO_RULES
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf
from evaluator.results.manifest import Protocol, TextRecord
from evaluator.support.errors import RequestError
from evaluator.texts.sources import Text, built_in_texts
from evaluator.texts.windows import cut_windows, spread


class Bytes:
    """One token per byte; `limits` are those that it was asked for."""

    rules = NO_RULES

    def __init__(self, bos_id=None):
        self.bos_id = bos_id
        self.limits = []

    def encode(self, text, limit=None):
        self.limits.append(limit)
        return np.frombuffer(text.encode(), np.uint8).astype(np.int32)[:limit]


TEN = Protocol(context=10, first_scored=5)


def cut(*contents, bos_id=None, protocol=TEN):
    texts = [Text(f"d{i}", f"{i}.txt", content) for i, content in enumerate(contents)]
    return cut_windows(texts, Bytes(bos_id), protocol)


@pytest.mark.parametrize(
    ("n", "most", "expected"), [(3, 8, [0, 1, 2]), (9, 3, [0, 4, 8]), (1, 64, [0]), (255, 2, [0, 254])]
)
def test_chosen_indices_are_spread_evenly(n, most, expected):
    assert spread(n, most).tolist() == expected


def test_text_that_is_there_twice_is_refused():
    with pytest.raises(RequestError, match=r"1\.txt: the same text as 0\.txt"):
        cut("x" * 20, "x" * 20)


@pytest.mark.parametrize(
    ("paths", "said"), [("ab", "b/t.txt: the same text as a/t.txt"), ("aa", "a/t.txt: given")]
)
def test_texts_that_are_there_twice_are_named_by_their_paths(paths, said):
    texts = [Text(path, "t.txt", "x" * 20, path=f"{path}/t.txt") for path in paths]
    with pytest.raises(RequestError, match=said):
        cut_windows(texts, Bytes(None), TEN)


@pytest.mark.parametrize(
    ("length", "chunks", "count", "counted"),
    [
        (10, None, 1, 10),
        (19, None, 1, 19),
        (20, None, 2, 20),
        (35, 2, 2, None),  # the rest is not tokenized, so its tokens are not known
        (20, 2, 2, None),
        (19, 2, 1, 19),
        (35, 9, 3, 35),
    ],
)
def test_full_windows_are_cut_and_the_rest_dropped(length, chunks, count, counted):
    windows, records = cut("x" * length, protocol=Protocol(context=10, first_scored=5, chunks=chunks))
    assert (len(windows), records[0].windows, records[0].n_tokens) == (count, count, counted)


@pytest.mark.parametrize(("chunks", "limit"), [(None, None), (3, 30)])
def test_only_the_tokens_of_the_windows_are_asked_for(chunks, limit):
    tokenizer = Bytes(bos_id=1)
    protocol = Protocol(context=10, first_scored=5, chunks=chunks)
    cut_windows([Text("d", "d.txt", "x" * 100)], tokenizer, protocol)
    assert tokenizer.limits == [limit]


def test_windows_of_a_long_text_are_those_of_the_whole_text(tiny):
    texts = [Text(text.domain, text.name, text.content * 20) for text in built_in_texts()]
    tokenizer = tokenizer_from_gguf(tiny)
    encoded = []
    noting = replace(
        tokenizer, _encode=lambda text: encoded.append(len(text)) or tokenizer.encode(text).tolist()
    )
    some, _ = cut_windows(texts, noting, Protocol(context=64, first_scored=32, chunks=3))
    everything, _ = cut_windows(texts, tokenizer, Protocol(context=64, first_scored=32))
    for text in texts:
        whole = [window.ids.tolist() for window in everything if window.domain == text.domain]
        assert [window.ids.tolist() for window in some if window.domain == text.domain] == whole[:3]
    assert sum(encoded) < sum(len(text.content) for text in texts) / 20


def test_records_with_and_without_a_count_are_read():
    record = cut("x" * 35)[1][0]
    assert TextRecord.model_validate_json(record.model_dump_json()).n_tokens == 35
    without = record.model_copy(update={"n_tokens": None})
    assert TextRecord.model_validate_json(without.model_dump_json()) == without


def test_windows_follow_each_other_without_overlap():
    windows, _ = cut("abcdefghijKLMNOPQRST!", "0123456789")
    assert [bytes(window.ids.tolist()) for window in windows] == [b"abcdefghij", b"KLMNOPQRST", b"0123456789"]
    assert [(window.index, window.domain) for window in windows] == [(0, "d0"), (1, "d0"), (2, "d1")]


def test_bos_replaces_the_first_token_of_each_window_only():
    windows, _ = cut("abcdefghijKLMNOPQRST", bos_id=1)
    assert [window.ids[0] for window in windows] == [1, 1]
    assert bytes(windows[1].ids[1:].tolist()) == b"LMNOPQRST"


def test_targets_are_the_tokens_after_the_first_scored_position():
    (window,), _ = cut("abcdefghij")
    assert bytes(window.targets.tolist()) == b"ghij"
    assert window.positions.tolist() == [6, 7, 8, 9]
    assert [window.ids[p] for p in window.positions] == window.targets.tolist()


def test_record_describes_the_bytes():
    _, (record,) = cut("é\r\n" * 5)
    content = "é\r\n".encode() * 5
    assert (record.sha256, record.n_bytes) == (hashlib.sha256(content).hexdigest(), len(content))


def test_short_text_says_how_much_is_needed():
    with pytest.raises(RequestError, match=r"1\.txt: 9 tokens, one window needs 10"):
        cut("x" * 10, "y" * 9)
