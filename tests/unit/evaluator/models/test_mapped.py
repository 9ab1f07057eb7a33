"""Mapped files: pages are released and can be read again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_models import write_tiny_llama

from evaluator.models.mapped import give_pages_back, map_file, release_pages
from evaluator.models.sources.open_model import open_model
from evaluator.support.errors import SourceError

_SIZE = 64 << 20


def resident() -> int:
    """Return the resident bytes of mapped files in this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssFile")))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_pages_are_given_back_and_come_again(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(os.urandom(1 << 20) * (_SIZE >> 20))
    data, before = map_file(path), resident()
    first = bytes(data)
    assert resident() - before > _SIZE // 2
    give_pages_back()
    assert resident() - before < _SIZE // 4
    assert bytes(data) == first


@pytest.mark.parametrize("how", ["cut off", "replaced", "deleted"])
def test_a_file_that_is_cut_off_while_in_use_is_an_error(tmp_path, how):
    path = write_tiny_llama(tmp_path / "Tiny-F32.gguf")
    file, content = open_model(path), path.read_bytes()
    expected = file.dequantize("blk.1.ffn_up.weight").copy()
    if how == "cut off":
        os.truncate(path, len(content) // 4)
        with pytest.raises(SourceError, match=r"Tiny-F32.gguf: became shorter while it was in use"):
            file.dequantize("blk.1.ffn_up.weight")
        return
    if how == "replaced":
        (tmp_path / "new").write_bytes(content[:1000])
        (tmp_path / "new").replace(path)
    else:
        path.unlink()
    np.testing.assert_array_equal(file.dequantize("blk.1.ffn_up.weight"), expected)
    assert file.size_bytes == len(content)


def test_a_file_that_is_no_longer_used_is_forgotten(tmp_path):
    path = tmp_path / "small"
    path.write_bytes(b"abc")
    data = map_file(path)
    assert bytes(data) == b"abc"
    del data
    give_pages_back()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_pages_of_a_part_are_released(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).write_bytes(os.urandom(1 << 20) * (_SIZE >> 20))
    first, second = (np.frombuffer(map_file(tmp_path / name), np.uint8) for name in ("first", "second"))
    before = resident()
    total = int(first.sum()) + int(second.sum())
    read = resident() - before
    assert read > 1.9 * _SIZE
    part = second[_SIZE // 4 + 5 : 3 * _SIZE // 4 - 5]
    release_pages(part)
    assert read - (resident() - before) == pytest.approx(_SIZE / 2, rel=0.01)
    assert int(first.sum()) + int(second.sum()) == total


def test_arrays_that_are_not_mapped_are_left_alone():
    values = np.arange(1 << 16, dtype=np.uint16).view(np.uint8)
    expected = values.copy()
    release_pages(values)
    release_pages(values[:0])
    np.testing.assert_array_equal(values, expected)
