"""Finding ggml's library."""

from __future__ import annotations

import os

import pytest

from evaluator.models import ggml_library
from evaluator.support.errors import RequestError


@pytest.fixture(autouse=True)
def not_loaded_yet(monkeypatch):
    ggml_library.ggml_library.cache_clear()
    yield
    monkeypatch.undo()
    ggml_library.ggml_library.cache_clear()


def test_the_package_has_it():
    assert ggml_library.ggml_library().ggml_type_size(0) == 4


def test_it_starts_no_debugger(monkeypatch):
    monkeypatch.setenv("GGML_NO_BACKTRACE", "")
    ggml_library.ggml_library()
    assert os.environ["GGML_NO_BACKTRACE"] == "1"


def test_named_library_that_is_none(monkeypatch, tmp_path):
    (tmp_path / "ggml.so").write_text("no library")
    monkeypatch.setenv(ggml_library.LIBRARY_VARIABLE, str(tmp_path / "ggml.so"))
    with pytest.raises(
        RequestError, match=r"ggml.so: cannot be used as ggml's library .*: pip install xllamacpp"
    ):
        ggml_library.ggml_library()


def test_without_the_package_there_is_none(monkeypatch):
    monkeypatch.setattr(ggml_library, "_PACKAGE", "absent_package_of_this_name")
    assert ggml_library.ggml_library() is None


def test_a_package_that_cannot_be_loaded_counts_as_absent(monkeypatch, tmp_path):
    (tmp_path / "damaged_package").mkdir()
    (tmp_path / "damaged_package" / "__init__.py").touch()
    (tmp_path / "damaged_package" / "damaged.abi3.so").write_text("no library")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(ggml_library, "_PACKAGE", "damaged_package")
    assert ggml_library.ggml_library() is None
