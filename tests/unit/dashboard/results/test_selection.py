"""Selections survive the URL, whatever is in it."""

import polars as pl
import pytest

from dashboard.results.selection import Selection

FRAME = pl.DataFrame(
    {
        "variant_id": ["base", "a", "b", "c"],
        "model": ["m", "m", "m", "n"],
        "method": ["baseline", "main", "unsloth", "main"],
        "quant": ["F16", "Q4_0", "Q4_0", "Q8_0"],
        "is_baseline": [True, False, False, False],
        "bits_per_weight": [16.0, 4.5, 4.6, 8.5],
    }
)


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection.of(methods=["main"]),
        Selection.of(["a model/with & signs"], ["main", "unsloth"], ["Q4_0", "IQ4_XS"], (3.0, 5.25)),
        Selection.of(methods=["größe +%"], bits=(0.0, 16.0)),
    ],
)
def test_round_trip(selection: Selection) -> None:
    assert Selection.from_query("?" + selection.to_query()) == selection
    assert Selection.from_query(selection.to_query()).to_query() == selection.to_query()


def test_query_is_stable_and_empty_for_all() -> None:
    assert Selection().to_query() == ""
    assert Selection.of(methods=["b", "a"], bits=(5, 3.5)).to_query() == "method=a&method=b&bits=5-3.5"
    assert Selection.from_query("?method=main&bits=3-5").to_query() == "method=main&bits=3-5"


@pytest.mark.parametrize(
    "junk",
    [
        None,
        "",
        "?",
        "?&&&==",
        "?bits=x-y",
        "?bits=nan-inf",
        "?bits=1e9-2",
        "?color=red",
        "?method=",
        "?%FF%FE=%00",
        "&".join(["x=1"] * 2000),
        "?method=" + "a" * 5000,
    ],
)
def test_junk_is_ignored(junk: str | None) -> None:
    assert Selection.from_query(junk) == Selection()


def test_reversed_bits_are_put_in_order() -> None:
    assert Selection.from_query("bits=5-3").bits == (3.0, 5.0)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), ["base", "a", "b", "c"]),
        (Selection.of(methods=["main"]), ["base", "a", "c"]),
        (Selection.of(methods=["main"], bits=(4.0, 5.0)), ["base", "a"]),
        (Selection.of(models=["n"]), ["base", "c"]),
        (Selection.of(quants=["nothing"]), ["base"]),
    ],
)
def test_expression_keeps_the_baseline(selection: Selection, expected: list[str]) -> None:
    assert FRAME.filter(selection.expression())["variant_id"].to_list() == expected
