"""Damaged files and full disks are one line for the person who dropped them, and leave nothing behind."""

from __future__ import annotations

import errno
import io
import random
import tempfile
import zipfile
from pathlib import Path
from typing import IO

import pytest
from flask import Request

from dashboard.local import LocalError, opening
from dashboard.local.opening import Opening
from dashboard.local.routes import Local
from dashboard.results.library import Library
from dashboard.server.app import create_app


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which dropped files are kept."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def packed(folder: Path, method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder.parent))
    return buffer.getvalue()


def said(library: Library, content: bytes) -> str:
    """Return what the drop of a ZIP is answered with; empty if it is opened."""
    opened = Opening(library)
    try:
        opened.dropped([("packed.zip", io.BytesIO(content))])
    except LocalError as error:
        return str(error)
    finally:
        opened.close()
    return ""


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_damaged_zip_is_said(one_method: Path, kept: Path, method: int) -> None:
    whole, library, chance = packed(one_method, method), Library([one_method]), random.Random(method)
    assert said(library, whole) == ""
    damaged = bytearray(whole)
    first = whole.index(b"manifest.json") + 200
    damaged[first : first + 40] = bytes(chance.randbytes(40))
    assert "manifest.json: cannot be read: " in said(library, bytes(damaged))
    for _ in range(30):
        damaged = bytearray(whole)
        for _ in range(20):
            damaged[chance.randrange(len(whole))] = chance.randrange(256)
        answer = said(library, bytes(damaged[: chance.choice([len(whole), len(whole) // 2])]))
        assert "\n" not in answer
    assert list(kept.iterdir()) == []


def test_a_full_disk_is_said(one_method: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(opening, "_copy", full)
    answer = said(Library([one_method]), packed(one_method, zipfile.ZIP_STORED))
    assert answer == "the files cannot be kept: No space left on device"
    assert list(kept.iterdir()) == []


def test_a_disk_that_is_full_before_all_is_received_is_said(
    one_method: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> IO[bytes]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Request, "_get_file_stream", full)
    monkeypatch.setattr("dashboard.local.access.Access.check_page", lambda *_: None)
    monkeypatch.setattr("dashboard.local.access.Access.check_key", lambda *_: None)
    client = create_app(one_method, local=Local()).server.test_client()
    answer = client.post("/local/drop", data={"a": (io.BytesIO(b"x"), "a")})
    assert (answer.status_code, answer.get_json()) == (
        507,
        {"error": "the files cannot be kept: No space left on device"},
    )
