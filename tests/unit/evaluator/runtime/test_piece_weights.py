"""Reading weights ahead, and only what is needed of the embedding."""

from __future__ import annotations

import threading

import gguf
import numpy as np
import pytest
from tiny_models import write_tiny_llama

from evaluator.export.exact.graph import load_graph
from evaluator.export.pieces import cut
from evaluator.models.sources.open_model import open_model
from evaluator.runtime.piece_weights import WeightReader, read_ahead
from evaluator.support.stage_clock import StageClock, in_stage


def test_weights_are_passed_as_they_are_in_the_file(tiny, tiny_graph):
    reader = WeightReader(tiny)
    feed_forward = cut(tiny_graph)[2]
    weights = reader.read(feed_forward)
    for name, weight in feed_forward.weights.items():
        tensor = reader.tensors[weight.slot.parameter]
        np.testing.assert_array_equal(weights[name], tiny.dequantize(tensor))


def test_pieces_of_a_quantized_file_do_without_the_file_once_read(tmp_path):
    """Norms are stored in float32: views of them would end the process if the file were cut off."""
    path = write_tiny_llama(tmp_path / "Tiny-Q8_0.gguf", ggml_type=gguf.GGMLQuantizationType.Q8_0)
    file = open_model(path)
    attention = cut(load_graph(file))[1]
    mapped = np.frombuffer(file._data, np.uint8)
    weights = WeightReader(file).read(attention)
    assert {values.ndim for values in weights.values()} == {1, 2}
    assert not any(np.may_share_memory(values, mapped) for values in weights.values())


def test_embedding_holds_the_used_rows_only(tiny, tiny_graph):
    ids = np.array([[7, 3, 7], [200, 3, 9]])
    weights, places = WeightReader(tiny).embedding(cut(tiny_graph)[0], ids)
    (table,) = weights.values()
    expected = tiny.dequantize("token_embd.weight")
    np.testing.assert_array_equal(table, expected[[3, 7, 9, 200]])
    np.testing.assert_array_equal(table[places], expected[ids])


@pytest.mark.parametrize("ahead", [True, False])
def test_items_come_in_order_with_what_was_read(ahead):
    assert list(read_ahead(range(5), lambda n: n * n, ahead=ahead)) == [(n, n * n) for n in range(5)]
    assert list(read_ahead([], str, ahead=ahead)) == []


def test_the_next_item_is_read_while_one_is_used():
    read = [threading.Event() for _ in range(4)]
    for item, _ in read_ahead(range(4), lambda n: read[n].set()):
        if item < 3:
            assert read[item + 1].wait(10)
        if item < 2:
            assert not read[item + 2].is_set()


def test_without_reading_ahead_one_item_is_in_memory():
    read = []
    for item, _ in read_ahead(range(3), read.append, ahead=False):
        assert read == list(range(item + 1))


def test_an_error_comes_where_its_item_would():
    def fail(number):
        if number == 2:
            raise ValueError("third")
        return number

    items = read_ahead(range(4), fail)
    assert [next(items), next(items)] == [(0, 0), (1, 1)]
    with pytest.raises(ValueError, match="third"):
        next(items)


def test_time_in_the_reading_thread_counts_for_the_run():
    clock = StageClock()

    def read(number):
        with in_stage("reading"):
            return number

    with clock.running():
        list(read_ahead(range(3), read))
    assert set(clock.seconds) == {"reading"}
