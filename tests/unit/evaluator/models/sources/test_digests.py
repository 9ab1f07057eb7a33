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


@pytest.fixture
def an_hour_later(monkeypatch):
    """Let all files be written an hour ago."""
    monkeypatch.setattr(digests, "time", lambda: time.time() + 3600)


@pytest.fixture
def reads(monkeypatch):
    """The paths that were read."""
    paths, read = [], digests.sha256_of

    def counted(path):
        paths.append(path)
        return read(path)

    monkeypatch.setattr(digests, "sha256_of", counted)
    return paths


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def written(path, content, later=0):
    """Write a file whose content was last changed long ago, or `later` nanoseconds after that."""
    path.write_bytes(content)
    os.utime(path, ns=(0, LONG_AGO + later))


def test_file_is_read_again_only_after_a_change(tmp_path, an_hour_later, reads):
    path = tmp_path / "file"
    written(path, b"one")
    assert [remembered_sha256(path) for _ in range(2)] == [sha256(b"one")] * 2
    assert len(reads) == 1
    written(path, b"two", later=1)
    assert remembered_sha256(path) == sha256(b"two")
    written(path, b"three", later=1)
    assert remembered_sha256(path) == sha256(b"three")
    assert len(reads) == 3


@pytest.mark.parametrize("way", ["written over", "replaced"])
def test_another_file_of_the_same_size_and_time_is_read(tmp_path, an_hour_later, way):
    path, other = tmp_path / "file", tmp_path / "other"
    for place, content in ((path, b"one"), (other, b"two")):
        written(place, content)
    assert remembered_sha256(path) == sha256(b"one")
    if way == "replaced":
        other.replace(path)
    else:
        before = path.stat().st_ctime_ns
        while path.stat().st_ctime_ns == before:  # the clock of file systems may stand still for milliseconds
            written(path, b"two")
    assert remembered_sha256(path) == sha256(b"two")


def test_damaged_note_is_not_believed(tmp_path, monkeypatch, an_hour_later):
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


def test_a_file_that_was_copied_just_now_with_its_time_is_read_each_time(tmp_path, reads):
    written(tmp_path / "file", b"one")
    assert [remembered_sha256(tmp_path / "file") for _ in range(2)] == [sha256(b"one")] * 2
    assert len(reads) == 2


def test_without_a_cache_folder_a_digest_is_not_remembered(tmp_path, monkeypatch, an_hour_later):
    (tmp_path / "cache").write_text("a file in place of the folder")
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "file"
    written(path, b"one")
    assert remembered_sha256(path) == sha256(b"one")
