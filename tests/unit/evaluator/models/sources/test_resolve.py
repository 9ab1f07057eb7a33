"""The files that a SRC argument names."""

from __future__ import annotations

import hashlib

import pytest

from evaluator.models.sources import resolve
from evaluator.models.sources.packaged import InstalledModel
from evaluator.models.sources.resolve import resolve_source, sha256_of
from evaluator.support.errors import RequestError


@pytest.fixture
def folder(tmp_path):
    for name in ("b.gguf", "a.gguf", "c[1].gguf", "note.txt"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "inner.gguf").mkdir()
    return tmp_path


def test_file_is_itself(folder):
    assert resolve_source(str(folder / "a.gguf")) == [folder / "a.gguf"]


def test_name_with_magic_characters_is_a_file_first(folder):
    assert resolve_source(str(folder / "c[1].gguf")) == [folder / "c[1].gguf"]


def test_glob_gives_sorted_files_without_folders(folder):
    assert [path.name for path in resolve_source(f"{folder}/*.gguf")] == ["a.gguf", "b.gguf", "c[1].gguf"]


def test_a_glob_below_a_folder_in_brackets_means_that_folder(folder, tmp_path):
    named = tmp_path / "quants [1]"
    named.mkdir()
    (named / "d.gguf").write_bytes((folder / "a.gguf").read_bytes())
    assert resolve_source(f"{named}/*.gguf") == [named / "d.gguf"]


@pytest.mark.parametrize(
    ("suffix", "message"),
    [("", r"is a folder without a config\.json"), ("/*.onnx", "no file matches"), ("/z", "no such file")],
)
def test_what_is_not_there_says_why(folder, suffix, message):
    with pytest.raises(RequestError, match=message):
        resolve_source(f"{folder}{suffix}")


def test_misspelt_packaged_model_gets_a_suggestion():
    with pytest.raises(RequestError, match="did you mean smollm2-135m"):
        resolve_source("smollm2-135")


def test_packaged_model_that_is_not_installed_says_how_to_install(monkeypatch):
    model = InstalledModel("no_such_module_here", "m.gguf", "", "pip install the-package")
    monkeypatch.setattr(resolve, "PACKAGED_MODELS", {"packed": model})
    with pytest.raises(RequestError, match="run: pip install the-package"):
        resolve_source("packed")


def test_packaged_model_is_found_in_its_package(monkeypatch, tmp_path):
    (tmp_path / "carrier").mkdir()
    (tmp_path / "carrier" / "__init__.py").touch()
    (tmp_path / "carrier" / "m.gguf").write_bytes(b"x")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(resolve, "PACKAGED_MODELS", {"packed": InstalledModel("carrier", "m.gguf", "", "")})
    assert resolve_source("packed") == [tmp_path / "carrier" / "m.gguf"]


def test_digest_is_that_of_the_whole_file(tmp_path):
    content = bytes(range(256)) * 20000  # more than one chunk
    (tmp_path / "f").write_bytes(content)
    assert sha256_of(tmp_path / "f") == hashlib.sha256(content).hexdigest()
