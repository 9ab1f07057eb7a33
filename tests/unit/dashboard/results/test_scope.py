"""What a page asks several times is decided once per scope, and anew for other filters."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection


@pytest.fixture(scope="module")
def scope(three_methods: Path) -> Scope:
    return Scope(Results.open(three_methods), Selection.of(methods=["main"]))


def test_an_answer_is_found_once_and_anew_with_other_filters(scope: Scope) -> None:
    asked: list[str] = []
    for which in (scope, scope, scope.narrowed(methods=frozenset({"unsloth"}))):
        found = which.once("methods", lambda which=which: asked.append("") or which.selection.methods)
        assert found == which.selection.methods
    assert len(asked) == 2


def test_nothing_is_kept_of_an_answer_that_failed(scope: Scope) -> None:
    with pytest.raises(ZeroDivisionError):
        scope.once("fails", lambda: str(1 // 0))
    assert scope.once("fails", lambda: "now") == "now"


def test_a_scope_that_nothing_narrows_is_the_same_one(scope: Scope) -> None:
    assert scope.narrowed(layers=frozenset(), methods=frozenset({"main"})) is scope
    assert scope.narrowed(layers=frozenset({1})).selection == Selection.of(methods=["main"], layers=[1])
