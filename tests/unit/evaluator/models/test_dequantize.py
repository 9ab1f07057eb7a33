"""Rows of quantized tensors: the values of `gguf`, in parallel, chosen by number, and timed."""

from __future__ import annotations

import threading

import gguf
import numpy as np
import pytest
from block_bytes import random_bytes
from gguf import GGMLQuantizationType as GGMLType

from evaluator.models import dequantize
from evaluator.models.dequantize import dequantize_rows, gathered_rows
from evaluator.support.stage_clock import StageClock
from evaluator.support.threads import use_threads

COLUMNS = 1024
KINDS = ["F32", "F16", *(kind.name for kind in gguf.quants._type_traits)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks and threads even for small tensors."""
    monkeypatch.setattr(dequantize, "_MIN_WEIGHTS", 4 * COLUMNS)
    use_threads(3)
    yield
    use_threads(None)


def rows_of(kind, n, columns=COLUMNS):
    if kind in ("F32", "F16"):
        values = np.random.default_rng(n).standard_normal((n, columns))
        return values.astype("<f4" if kind == "F32" else "<f2").view(np.uint8)
    return random_bytes(kind, n, columns, seed=n)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 7, 131])
def test_values_are_those_of_gguf(kind, n):
    rows = rows_of(kind, n)
    expected = gguf.dequantize(rows, GGMLType[kind])
    values = dequantize_rows(rows, GGMLType[kind])
    assert (values.dtype, values.shape) == (np.float32, (n, COLUMNS))
    np.testing.assert_array_equal(values.view(np.uint32), expected.view(np.uint32))
    out = np.full((n + 2, COLUMNS), 3, np.float32)
    assert dequantize_rows(rows, GGMLType[kind], out[1:-1]).base is out
    np.testing.assert_array_equal(out[1:-1].view(np.uint32), expected.view(np.uint32))
    assert (out[[0, -1]] == 3).all()


@pytest.mark.parametrize("kind", KINDS)
def test_chosen_rows(kind):
    rows = rows_of(kind, 50)
    indices = np.random.default_rng(0).integers(0, 50, 77).astype(np.int32)
    expected = gguf.dequantize(rows, GGMLType[kind])[indices]
    np.testing.assert_array_equal(gathered_rows(rows, GGMLType[kind], indices), expected)


def test_rows_that_are_not_adjacent():
    rows = rows_of("Q4_K", 60)[::3]
    np.testing.assert_array_equal(
        dequantize_rows(rows, GGMLType.Q4_K), gguf.dequantize(np.ascontiguousarray(rows), GGMLType.Q4_K)
    )


def test_one_long_row_is_divided_between_threads(monkeypatch):
    rows, threads = rows_of("Q8_0", 1, 64 * COLUMNS), set()
    use, meeting = dequantize.decoder(GGMLType.Q8_0), threading.Barrier(3, timeout=20)

    def decode(data, values):
        if threading.current_thread() not in threads:
            threads.add(threading.current_thread())
            meeting.wait()
        use(data, values)

    monkeypatch.setattr(dequantize, "decoder", lambda kind: decode)
    values = dequantize_rows(rows, GGMLType.Q8_0)
    np.testing.assert_array_equal(values, gguf.dequantize(rows, GGMLType.Q8_0))
    assert len(threads) == 3


@pytest.mark.parametrize("kind", ["F32", "F16", "Q4_K"])
def test_no_rows(kind):
    rows = rows_of(kind, 3)
    assert dequantize_rows(rows[:0], GGMLType[kind]).shape == (0, COLUMNS)
    assert gathered_rows(rows, GGMLType[kind], np.zeros(0, np.int64)).shape == (0, COLUMNS)


def test_float32_is_a_view_unless_it_has_a_place():
    rows = rows_of("F32", 3)
    assert np.shares_memory(dequantize_rows(rows, GGMLType.F32), rows)
    assert not np.shares_memory(dequantize_rows(rows, GGMLType.F32, np.empty((3, COLUMNS), np.float32)), rows)
    shifted = np.empty(rows.size + 1, np.uint8)[1:].reshape(rows.shape)
    shifted[:] = rows
    values = dequantize_rows(shifted, GGMLType.F32)
    assert values.flags.aligned
    np.testing.assert_array_equal(values, rows.view(np.float32))


def test_only_chosen_rows_are_decoded(monkeypatch):
    decoded = []
    use = dequantize.decoder(GGMLType.Q8_0)

    def decode(data, values):
        decoded.append(len(values))
        use(data, values)

    monkeypatch.setattr(dequantize, "decoder", lambda kind: decode)
    gathered_rows(rows_of("Q8_0", 500), GGMLType.Q8_0, np.array([499, 3, 499]))
    assert sum(decoded) == 3 * COLUMNS


@pytest.mark.parametrize("indices", [[-1], [0, 5], [2**40]])
def test_rows_that_are_not_there(indices):
    with pytest.raises(IndexError, match="of a tensor with 5"):
        gathered_rows(rows_of("Q8_0", 5), GGMLType.Q8_0, np.array(indices))


@pytest.mark.parametrize("indices", [np.array([0.0]), np.array([True]), np.array([[1]]), np.array(1)])
def test_what_is_no_list_of_integers(indices):
    with pytest.raises(ValueError, match="indices of rows"):
        gathered_rows(rows_of("Q8_0", 5), GGMLType.Q8_0, indices)


def test_rows_that_are_not_whole_blocks():
    for rows in (rows_of("Q8_0", 5)[:, 1:], rows_of("Q8_0", 5)[0], rows_of("Q8_0", 5).view(np.int8)):
        with pytest.raises(ValueError, match="are not rows of Q8_0 blocks of 34 bytes"):
            dequantize_rows(rows, GGMLType.Q8_0)


@pytest.mark.parametrize("kind", ["F32", "Q8_0"])
def test_places_that_do_not_fit(kind):
    whole = np.zeros((5, COLUMNS), np.float32)
    locked = whole.copy()
    locked.flags.writeable = False
    for out in (whole[:4], whole.astype(np.float64), np.zeros((COLUMNS, 5), np.float32).T, locked):
        with pytest.raises(ValueError, match="contiguous, writable float32"):
            dequantize_rows(rows_of(kind, 5), GGMLType[kind], out)


def test_types_without_a_dequantizer():
    with pytest.raises(NotImplementedError, match="I32"):
        dequantize_rows(np.zeros((2, 8), np.uint8), GGMLType.I32)


def test_time_counts_for_the_clock_of_the_caller():
    rows, clock, other = rows_of("IQ3_S", 600), StageClock(), StageClock()
    with clock.running(), clock.stage("computing"):
        dequantize_rows(rows, GGMLType.IQ3_S)
        gathered_rows(rows, GGMLType.IQ3_S, np.arange(600))
    assert set(clock.seconds) == {"computing", "reading", "dequantizing"}
    assert 0 < clock.seconds["reading"] < clock.seconds["dequantizing"]
    assert clock.seconds["computing"] < clock.seconds["dequantizing"]
    dequantize_rows(rows, GGMLType.IQ3_S, None, other)
    assert set(other.seconds) == {"reading", "dequantizing"}


def test_threads_may_call_at_the_same_time():
    rows = rows_of("Q6_K", 300)
    expected, wrong = gguf.dequantize(rows, GGMLType.Q6_K), []

    def check(seed):
        indices = np.random.default_rng(seed).integers(0, 300, 200)
        for _ in range(5):
            if not np.array_equal(gathered_rows(rows, GGMLType.Q6_K, indices), expected[indices]):
                wrong.append(seed)

    threads = [threading.Thread(target=check, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
