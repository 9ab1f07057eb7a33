"""Opening valid and hostile safetensors files; the reference library writes the valid ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from evaluator.models.checkpoint.safetensors_file import open_safetensors
from evaluator.support.errors import SourceError

VALUES = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(4, np.float16)}


@pytest.fixture
def path(tmp_path):
    save_file(VALUES, tmp_path / "m.safetensors", metadata={"format": "np"})
    return tmp_path / "m.safetensors"


def with_directory(path, directory, data=24):
    text = directory if isinstance(directory, bytes) else json.dumps(directory).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(data))
    return path


def entry(dtype="F32", shape=(2, 3), offsets=(0, 24)):
    return {"w": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}


def test_tensors_are_those_that_were_saved(path):
    file = open_safetensors(path)
    assert file.directory.keys() == VALUES.keys()
    for name, values in VALUES.items():
        info = file.tensor(name)
        assert (info.shape, info.n_bytes) == (values.shape, values.nbytes)
        np.testing.assert_array_equal(file.raw(info).view(values.dtype), values)


def test_number_without_dimensions_is_a_vector_of_one(path):
    save_file({"w": np.asarray(np.float32(1.5))}, path)
    file = open_safetensors(path)
    info = file.tensor("w")
    assert (info.shape, info.n_bytes) == ((1,), 4)
    assert file.raw(info).view(np.float32) == 1.5


def _read_all(path):
    file = open_safetensors(path)
    return [file.tensor(name) for name in VALUES]


@pytest.mark.parametrize("short", range(0, 100, 7))
def test_truncated_file_is_refused(path, short):
    content = path.read_bytes()
    path.write_bytes(content[: -1 - short])
    with pytest.raises(SourceError, match="safetensors"):
        _read_all(path)


@pytest.mark.parametrize(
    "content", [b"", b"1234567", b"\xff" * 8 + b"{}", (10**12).to_bytes(8, "little"), bytes(8)]
)
def test_hostile_length_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(SourceError, match="not a readable safetensors file"):
        open_safetensors(path)


@pytest.mark.parametrize(
    "directory", [b"[]", b"[" * 100_000, b"{", b"\xff\xfe", b'{"w": 1' + b"0" * 5000 + b"}"]
)
def test_directory_that_is_none_is_refused(path, directory):
    with pytest.raises(SourceError):
        open_safetensors(with_directory(path, directory))


@pytest.mark.parametrize(
    ("directory", "message"),
    [
        (entry(offsets=(0, 28)), "does not fit"),
        (entry(offsets=(8, 32)), "does not fit"),
        (entry(offsets=(-24, 0)), "does not fit"),
        (entry(shape=(2**40, 2**40)), "does not fit"),
        (entry(shape=(0, 3), offsets=(0, 0)), "does not fit"),
        (entry(shape=(1,) * 9), "not understood"),
        (entry(shape=("2", 3)), "not understood"),
        (entry(shape=(-2, -3)), "not understood"),
        (entry(offsets=(0, 24, 48)), "not understood"),
        ({"w": {"dtype": "F32"}}, "not understood"),
        ({"w": 7}, "not understood"),
        (entry(dtype="F8_E4M3", offsets=(0, 6)), "stored as F8_E4M3; supported without .*: F32, F16, BF16"),
        (entry(dtype="F3"), "stored as F3, which is not known"),
        ({}, "w is missing"),
    ],
)
def test_entry_is_checked_when_it_is_asked_for(path, directory, message):
    file = open_safetensors(with_directory(path, directory))
    with pytest.raises(SourceError, match=message):
        file.tensor("w")
