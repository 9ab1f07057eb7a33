"""Mapped files: pages are released and can be read again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from evaluator.models.mapped import give_pages_back, map_file

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


def test_a_file_that_is_no_longer_used_is_forgotten(tmp_path):
    path = tmp_path / "small"
    path.write_bytes(b"abc")
    data = map_file(path)
    assert bytes(data) == b"abc"
    del data
    give_pages_back()
