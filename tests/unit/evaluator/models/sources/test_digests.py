"""Digests of files are remembered until the file changes."""

from __future__ import annotations

import hashlib
import os
import time

import pytest

from evaluator.models.sources import digests
from evaluator.models.sources.digests import remembered_sha256

#: An hour before the tests are imported.
LONG_AGO = time.time_ns() - 3600 * 10**9


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def written(path, content, later=0):
    """Write a file that was last changed an hour ago, or `later` nanoseconds after that."""
    path.write_bytes(content)
    os.utime(path, ns=(0, LONG_AGO + later))


def test_file_is_read_again_only_after_a_change(tmp_path, monkeypatch):
    path, reads = tmp_path / "file", []
    read = digests.sha256_of

    def counted(path):
        reads.append(path)
        return read(path)

    monkeypatch.setattr(digests, "sha256_of", counted)
    written(path, b"one")
    assert [remembered_sha256(path) for _ in range(2)] == [sha256(b"one")] * 2
    assert len(reads) == 1
    written(path, b"two", later=1)
    assert remembered_sha256(path) == sha256(b"two")
    written(path, b"three", later=1)
    assert remembered_sha256(path) == sha256(b"three")
    assert len(reads) == 3


def test_damaged_note_is_not_believed(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "file"
    written(path, b"one")
    remembered_sha256(path)
    (note,) = (tmp_path / "cache" / "digests").iterdir()
    note.write_text("?")
    assert remembered_sha256(path) == sha256(b"one")


def test_missing_file_is_an_error_of_the_disk(tmp_path):
    with pytest.raises(FileNotFoundError):
        remembered_sha256(tmp_path / "gone")


def test_a_file_that_changed_just_now_is_read_each_time(tmp_path):
    """Its next change may come within the file system's clock tick, with the same size."""
    path = tmp_path / "file"
    path.write_bytes(b"one")
    state = path.stat()
    assert remembered_sha256(path) == sha256(b"one")
    path.write_bytes(b"two")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert remembered_sha256(path) == sha256(b"two")


def test_without_a_cache_folder_a_digest_is_not_remembered(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file in place of the folder")
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "file"
    written(path, b"one")
    assert remembered_sha256(path) == sha256(b"one")
