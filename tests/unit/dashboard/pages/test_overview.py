"""The answers of the first page stand in the order in which they are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from dash.development.base_component import Component
from results_factory import make_results

from dashboard.pages.overview import below, beside
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection


@pytest.mark.parametrize(
    ("limits", "first"),
    [
        ({}, ["Everyday use", "The same file in each engine", "Nearly lossless", "Tight on memory"]),
        ({"rise": "5"}, ["Within your limits", "The same file in each engine", "Nearly lossless"]),
    ],
)
def test_the_headline_s_answer_comes_first(
    two_engines: Path, limits: dict[str, str], first: list[str]
) -> None:
    *_, answers = beside(Scope(Results.open(two_engines), Selection.of(options=limits)))
    assert headings(answers)[: len(first)] == first


def headings(part: object) -> list[str]:
    if isinstance(part, list | tuple):
        return [text for item in part for text in headings(item)]
    if not isinstance(part, Component):
        return []
    inner = getattr(part, "children", None)
    return [str(inner)] if part._type == "H2" else headings(inner)


def test_the_words_of_the_first_answer_are_explained(three_methods: Path) -> None:
    """A newcomer meets KLD and perplexity there first; the other cards use the same words."""
    for options in ({}, {"gb": "90 MB"}):
        told = str(beside(Scope(Results.open(three_methods), Selection.of(options=options))))
        for word in ("perplexity", "KLD", "same top token"):
            assert told.count(f"Dfn(children='{word}'") == 1


def test_a_command_is_quoted_without_marks_of_another_markup(tmp_path: Path) -> None:
    told = str(below(Scope(Results.open(make_results(tmp_path, methods=("guided",), windows=4)))))
    assert "--recipe guided" in told
    assert "`" not in told
