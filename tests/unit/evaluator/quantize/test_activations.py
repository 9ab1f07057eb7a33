"""Measured importances: the numpy transformer's own activations are the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from numpy_llama import final_hidden

from evaluator.models.tokenizers.first_tokens import FirstTokens
from evaluator.models.tokenizers.tokenizer import TextTokenizer
from evaluator.quantize.activations import imatrix_windows, squared_activations
from evaluator.results.manifest import Protocol
from evaluator.runtime.device import choose_device
from evaluator.support.errors import RequestError
from evaluator.texts.sources import Text
from evaluator.texts.windows import cut_windows


def tokenizer(bos_id):
    return TextTokenizer(300, bos_id, lambda text: [ord(letter) for letter in text])


TEXT = Text("x", "x.txt", "abcdefghij")


def test_windows_without_bos():
    windows = imatrix_windows([TEXT, TEXT], tokenizer(None), 4, None)
    assert ["".join(map(chr, ids)) for ids in windows] == ["abcd", "efgh"] * 2


def test_windows_with_bos_shift_the_text_and_lose_a_token_each():
    windows = imatrix_windows([TEXT], tokenizer(0), 4, None)
    assert [ids.tolist() for ids in windows] == [[0, *map(ord, "abc")], [0, *map(ord, "efg")]]


@pytest.mark.parametrize("bos_id", [None, 0])
def test_windows_of_a_chat_hold_the_control_tokens_that_a_run_sees(bos_id):
    chat = Text("c", "c.jsonl", "<a>hello<b>world<a>to me", {"<a>": 301, "<b>": 302})
    ids = [301, *map(ord, "hello"), 302, *map(ord, "world"), 301, *map(ord, "to me")]
    expected = [ids[:8], ids[8:16]]
    if bos_id is not None:
        expected = [[bos_id, *ids[1:]] for ids in expected]
    windows = imatrix_windows([chat], tokenizer(bos_id), 8, None)
    assert [ids.tolist() for ids in windows] == expected
    scored, _ = cut_windows([chat], tokenizer(bos_id), Protocol(context=8, first_scored=4))
    assert [window.ids.tolist() for window in scored] == expected


def test_chunks_limit_each_text():
    assert len(imatrix_windows([TEXT, TEXT], tokenizer(None), 4, 1)) == 2


def test_no_more_of_a_text_is_tokenized_than_the_chunks_need():
    sizes = []

    def encode(text):
        sizes.append(len(text))
        return [ord(letter) for letter in text]

    first = FirstTokens(lambda text: range(1, len(text)))
    text = Text("x", "x.txt", TEXT.content * 100)
    some = imatrix_windows([text], TextTokenizer(300, 0, encode, _first=first), 4, 2)
    assert [ids.tolist() for ids in some] == [
        ids.tolist() for ids in imatrix_windows([text], tokenizer(0), 4, None)[:2]
    ]
    assert sum(sizes) <= 40


def test_text_shorter_than_a_window():
    with pytest.raises(RequestError, match=r"x.txt: 10 tokens, one window needs 16"):
        imatrix_windows([TEXT], tokenizer(None), 16, None)


def test_sums_are_those_of_an_independent_model(tiny, tiny_graph):
    windows = [np.arange(20, 44), np.arange(60, 84)]
    seen = []
    sums = squared_activations(
        tiny, tiny_graph, choose_device("cpu", 1), windows, lambda share, _: seen.append(share)
    )
    expected = dict.fromkeys(sums, 0)
    for ids in windows:
        inputs = {}
        final_hidden(tiny.dequantize, ids, inputs=inputs)
        for name, values in inputs.items():
            expected[name] = expected[name] + (values.astype(np.float64) ** 2).sum(0)
    assert seen == [0.25, 0.5, 0.75, 1.0]  # two layers of two parts
    assert len(sums) == 2 * 7
    for name, values in sums.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-4)
