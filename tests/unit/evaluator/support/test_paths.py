"""Paths that users type, as the places that they mean."""

from __future__ import annotations

import errno
import inspect
from pathlib import Path
from typing import get_args

import pytest

import dashboard.cli
import evaluator.cli
from evaluator.planning.config import comparison_from
from evaluator.support.cache import cache_advice, cache_folder
from evaluator.support.errors import RequestError
from evaluator.support.paths import typed_path


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home folder, which is not the working folder."""
    folder = tmp_path / "home"
    working = tmp_path / "working"
    folder.mkdir()
    working.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    monkeypatch.chdir(working)
    return folder


@pytest.mark.parametrize("name", ["a/b", "./~/x", "a~", "~nobody-of-this-name/x", "", "/x"])
def test_other_paths_stay_as_they_are(name):
    assert typed_path(name) == Path(name)


def test_a_tilde_is_the_home_folder(home, monkeypatch):
    assert typed_path("~/x") == home / "x"
    assert typed_path("~") == home
    monkeypatch.setenv("EVALUATOR_CACHE", "~/cache")
    assert cache_folder() == home / "cache"


@pytest.mark.parametrize(
    ("place", "helps"), [("cache/graphs/x", True), ("cache", True), (".", True), ("out", False)]
)
def test_a_cache_that_cannot_be_written_has_a_way_out(home, monkeypatch, place, helps):
    monkeypatch.setenv("EVALUATOR_CACHE", str(home / "cache"))
    advice = cache_advice(OSError(errno.EROFS, "Read-only file system", str(home / place)))
    assert (advice is not None) == helps
    assert cache_advice(OSError(errno.ENOSPC, "No space left on device", str(home / place))) is None
    assert cache_advice(OSError(errno.EIO, "Input/output error")) is None


def test_out_of_a_comparison_file_is_in_the_home_folder(home):
    settings = {"baseline": "b", "variants": ["m=v"], "texts": ["t"]}
    assert comparison_from(settings | {"out": "~/res"}).out == home / "res"
    with pytest.raises(RequestError, match="out: must be"):
        comparison_from(settings | {"out": 3})


@pytest.mark.parametrize("package", [evaluator.cli.app, dashboard.cli.cli], ids=["evaluator", "dashboard"])
def test_every_path_on_the_command_lines_may_begin_with_a_tilde(package):
    of_paths = [
        info
        for command in package.registered_commands
        for parameter in inspect.signature(command.callback, eval_str=True).parameters.values()
        for annotation, info in [get_args(parameter.annotation)[:2]]
        if "Path" in str(annotation)
    ]
    assert of_paths
    assert all(info.parser is typed_path for info in of_paths)


def test_a_path_and_its_default_come_through_the_command_line(evaluate, home, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "evaluator.commands.demo.run_demo", lambda out, *_, **__: asked.append(out) or {"failures": []}
    )
    for arguments in (["--out=~/x"], []):
        assert evaluate("demo", *arguments)[0] == 0
    assert asked == [home / "x", Path("demo_results")]
