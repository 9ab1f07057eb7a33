"""Variants that stand for their methods, and who leads among them."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dashboard.insights.leaders import leaders
from dashboard.insights.matching import one_type, place_name
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection

ALL = Selection()


def row(method: str, quant: str, bits: float) -> dict[str, Any]:
    names = {
        "method": method,
        "quant": quant,
        "variant_id": f"{method}-{quant}",
        "model": "m",
        "device": "cpu",
    }
    return names | {"bits_per_weight": bits}


def chosen(*rows: dict[str, Any]) -> list[str]:
    return [found["variant_id"] for found in one_type(rows)]


def test_a_type_of_another_name_stands_in_at_equal_bits() -> None:
    stock = [row("a", "Q4", 4.5), row("a", "Q8", 8.5), row("b", "Q4", 4.5), row("b", "Q8", 8.5)]
    assert chosen(*stock, row("c", "UD-Q4", 4.6), row("c", "UD-Q8", 8.4)) == ["a-Q4", "b-Q4", "c-UD-Q4"]
    assert chosen(*stock, row("c", "UD-Q8", 8.4)) == ["a-Q8", "b-Q8", "c-UD-Q8"]
    assert chosen(*stock, row("c", "UD-Q6", 6.5)) == ["a-Q4", "b-Q4"]


def test_a_type_that_all_share_goes_before_one_of_equal_bits() -> None:
    both = [row("a", "Q4", 4.5), row("b", "UD-Q4", 4.5), row("a", "Q8", 8.5), row("b", "Q8", 8.5)]
    assert chosen(*both) == ["a-Q8", "b-Q8"]


def test_place_name() -> None:
    assert place_name([row("a", "Q4", 4.5), row("b", "Q4", 4.7)]) == "Q4"
    assert place_name([row("a", "Q4", 4.5), row("b", "UD-Q4", 4.7)]) == "4.50–4.70 bits"


@pytest.fixture(scope="module")
def pair(three_methods: Path) -> tuple[Results, list[dict[str, Any]]]:
    results = Results.open(three_methods)
    rows = results.select(ALL).filter(pl.col("quant") == "Q2_K", pl.col("method") != "unsloth")
    return results, rows.sort("method").to_dicts()


def test_leaders_are_those_outside_the_error(pair: tuple[Results, list[dict[str, Any]]]) -> None:
    """The factory gives bartowski less noise than main, and nobody a faster kernel."""
    results, rows = pair
    named = {name: lead and lead["method"] for name, lead in leaders(Scope(results, ALL), rows).items()}
    assert named["mean KLD"] == "bartowski"
    assert named["decode speed"] is None


@pytest.mark.parametrize(("share", "leader"), [(1.002, None), (1.05, "bartowski")])
def test_a_size_leads_by_more_than_a_hundredth(
    pair: tuple[Results, list[dict[str, Any]]], share: float, leader: str | None
) -> None:
    results, (ours, other) = pair
    rows = [ours, other | {"size_bytes": round(share * ours["size_bytes"])}]
    found = leaders(Scope(results, ALL), rows)["file size"]
    assert (found and found["method"]) == leader


def test_nobody_leads_alone(pair: tuple[Results, list[dict[str, Any]]]) -> None:
    results, rows = pair
    assert leaders(Scope(results, ALL), rows[:1]) == {}
