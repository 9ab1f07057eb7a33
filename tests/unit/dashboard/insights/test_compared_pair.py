"""Compare starts with the answer and the file to weigh it against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from results_factory import make_results

from dashboard.insights.answers import Answers
from dashboard.insights.compared_pair import chosen, why
from dashboard.pages import compare
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection


@pytest.fixture(scope="module")
def whole(three_methods: Path) -> Results:
    return Results.open(three_methods)


def start(results: Results, **filters: Any) -> tuple[dict[str, Any], dict[str, Any], str]:
    scope = Scope(results, Selection.of(**filters))
    found = chosen(scope)
    assert found is not None
    return (*found, why(scope))


def test_it_starts_with_the_answer_and_the_best_other_file_of_its_size(whole: Results) -> None:
    own, rival, reason = start(whole)
    assert own["variant_id"] == Answers.of(Scope(whole)).chosen["variant_id"]  # type: ignore[index]
    near = [
        row
        for row in whole.measured.to_dicts()
        if row["variant_id"] != own["variant_id"] and abs(row["size_bytes"] / own["size_bytes"] - 1) <= 0.01
    ]
    if near:
        assert rival["variant_id"] == min(near, key=lambda row: row["kld_mean"])["variant_id"]
        words = "the best other file of its size"
    else:
        smaller = [row for row in whole.measured.to_dicts() if row["size_bytes"] < own["size_bytes"]]
        assert rival["size_bytes"] >= 0.99 * max(row["size_bytes"] for row in smaller)
        words = "the next smaller file"
    assert reason == f"A is the recommended file; B is {words}, to weigh it against."
    assert reason in str(compare.body(Scope(whole)))


@pytest.mark.parametrize(
    ("limit", "own", "rival", "words"),
    [
        ("1 GB", "main-q8_0", "main-q4_0", "B is the next smaller file,"),
        ("80 MB", "main-q4_0", "main-q2_k", "B is the next smaller file,"),
        ("60 MB", "main-q2_k", "main-q4_0", "B is the next larger file, as none is smaller,"),
    ],
)
def test_without_a_file_of_its_size_it_is_the_next(
    tmp_path: Path, limit: str, own: str, rival: str, words: str
) -> None:
    """Of 135 million parameters Q2_K has 44 MB, Q4_0 77 MB and Q8_0 143 MB."""
    folder = make_results(tmp_path, methods=("main",), quants=("Q2_K", "Q4_0", "Q8_0"), with_layers=False)
    first, second, reason = start(Results.open(folder), options={"gb": limit})
    assert (first["variant_id"], second["variant_id"]) == (own, rival)
    assert reason.startswith("A is the best file within your limits; ")
    assert words in reason


def test_a_pick_is_compared_with_the_answer(whole: Results) -> None:
    answer = start(whole)[0]["variant_id"]
    pick = next(name for name in whole.measured["variant_id"] if name != answer)
    first, second, reason = start(whole, picked=[pick])
    assert (first["variant_id"], second["variant_id"], reason) == (pick, answer, "")


def test_another_file_named_for_one_place_leaves_the_other(whole: Results) -> None:
    own, rival, _ = start(whole)
    named = next(
        row["variant_id"]
        for row in whole.measured.to_dicts()
        if row["label"] not in {own["label"], rival["label"]}
    )
    first, second, reason = start(whole, options={"a": named})
    assert (first["variant_id"], second["variant_id"], reason) == (named, rival["variant_id"], "")


@pytest.mark.parametrize(
    ("quants", "words"),
    [
        (["IQ1_S"], "No file passes the filters: A and B are two of the others."),
        (["Q4_0"], "A is the only file that passes the filters; B does not."),
    ],
)
def test_filters_that_leave_fewer_than_two_files_are_named(
    whole: Results, quants: list[str], words: str
) -> None:
    own, rival, reason = start(whole, methods=["main"], quants=quants)
    assert reason == words
    assert own["variant_id"] != rival["variant_id"]
    if len(Scope(whole, Selection.of(methods=["main"], quants=quants)).rows) == 1:
        assert (own["method"], own["quant"]) == ("main", quants[0])
