"""Streams in memory and on disk take the same steps, and continue from a file."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

from evaluator.runtime.streams import StreamsInMemory, StreamsOnDisk

SHAPES = [(2, 3, 4), (2, 3, 4), (1, 3, 4)]
VALUES = [
    np.random.default_rng(n).standard_normal(shape).astype(np.float32) for n, shape in enumerate(SHAPES)
]


def value_of(values):
    return ort.OrtValue.ortvalue_from_numpy(values)


def on_host(shape):
    return value_of(np.zeros(shape, np.float32))


def doubled(stream, target):
    target.update_inplace(2 * stream.numpy())


def streams_in(place, folder):
    if place == "memory":
        return StreamsInMemory(on_host)
    return StreamsOnDisk((folder / "s-0", folder / "s-1"), SHAPES)


@pytest.fixture(params=["memory", "disk"])
def streams(request, tmp_path):
    held = streams_in(request.param, tmp_path)
    for group, values in enumerate(VALUES):
        held.put(group, value_of(values.copy()))
    held.end_piece()
    yield held
    held.close()


def step(streams, run=doubled):
    for group in range(len(SHAPES)):
        streams.step(group, run)
    streams.end_piece()


def assert_equal(streams, factor):
    for group, values in enumerate(VALUES):
        np.testing.assert_array_equal(streams.get(group).numpy(), factor * values)


def test_steps_replace_the_streams(streams):
    assert_equal(streams, 1)
    step(streams)
    assert_equal(streams, 2)
    step(streams)
    assert_equal(streams, 4)


def test_a_saved_state_is_restored(streams, tmp_path):
    step(streams)
    path = streams.save(tmp_path / "saved")
    streams.close()
    again = streams_in("disk" if streams.saves_itself else "memory", tmp_path)
    again.restore(path, SHAPES)
    assert_equal(again, 2)
    step(again)
    assert_equal(again, 4)
    again.close()


def test_on_disk_an_unfinished_piece_leaves_the_last_one_whole(tmp_path):
    streams = streams_in("disk", tmp_path)
    for group, values in enumerate(VALUES):
        streams.put(group, value_of(values))
    streams.end_piece()
    step(streams)
    path = streams.save(tmp_path / "unused")
    streams.step(0, doubled)  # killed here
    again = streams_in("disk", tmp_path)
    again.restore(path, SHAPES)
    assert_equal(again, 2)
    assert not (tmp_path / "unused").exists()
    assert path.stat().st_size == sum(values.nbytes for values in VALUES)


def test_in_memory_one_array_per_shape_is_the_only_copy():
    allocated = []
    streams = StreamsInMemory(lambda shape: allocated.append(shape) or on_host(shape))
    for group, values in enumerate(VALUES):
        streams.put(group, value_of(values.copy()))
    for _ in range(3):
        step(streams)
    assert sorted(allocated) == [(1, 3, 4), (2, 3, 4)]


def test_a_file_that_ends_too_early_is_an_error(tmp_path):
    (tmp_path / "short").write_bytes(bytes(8))
    with pytest.raises(OSError, match=r"short: ends too early"):
        StreamsInMemory(on_host).restore(tmp_path / "short", SHAPES)
