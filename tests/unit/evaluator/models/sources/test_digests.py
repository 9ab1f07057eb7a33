"""Digests of files are remembered until the file changes."""

from __future__ import annotations

import hashlib
import os

import pytest

from evaluator.models.sources import digests
from evaluator.models.sources.digests import remembered_sha256


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_file_is_read_again_only_after_a_change(tmp_path, monkeypatch):
    path, reads = tmp_path / "file", []
    read = digests.sha256_of

    def counted(path):
        reads.append(path)
        return read(path)

    monkeypatch.setattr(digests, "sha256_of", counted)
    path.write_bytes(b"one")
    assert [remembered_sha256(path) for _ in range(2)] == [sha256(b"one")] * 2
    assert len(reads) == 1
    path.write_bytes(b"two")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert remembered_sha256(path) == sha256(b"two")
    path.write_bytes(b"three")
    assert remembered_sha256(path) == sha256(b"three")
    assert len(reads) == 3


def test_damaged_note_is_not_believed(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "file"
    path.write_bytes(b"one")
    remembered_sha256(path)
    (note,) = (tmp_path / "cache" / "digests").iterdir()
    note.write_text("?")
    assert remembered_sha256(path) == sha256(b"one")


def test_missing_file_is_an_error_of_the_disk(tmp_path):
    with pytest.raises(FileNotFoundError):
        remembered_sha256(tmp_path / "gone")
