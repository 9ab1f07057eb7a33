"""Files that are compared side by side: those of the recommended files' sizes, a band per size."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dashboard.insights.siblings import bands_of_siblings, chosen_bands
from dashboard.results.rows import Row

BITS = {"Q2": 2.5, "Q3": 3.4, "Q4": 4.6, "Q5": 5.6, "Q6": 6.6, "Q8": 8.5}
#: Rise of perplexity in per cent; the smallest files under 1, 3 and 10 % are Q6, Q5 and Q4.
RISE = {"Q2": 80.0, "Q3": 20.0, "Q4": 5.0, "Q5": 2.0, "Q6": 0.5, "Q8": 0.1}
NONE: frozenset[str] = frozenset()


def row(method: str, quant: str, **changes: Any) -> Row:
    bits = BITS[quant] if quant in BITS else changes["bits_per_weight"]
    size = round(bits * 1_000_000)
    known = {
        "variant_id": f"{method}-{quant}", "method": method, "quant": quant, "label": f"{method} {quant}",
        "model": "m", "device": "cpu", "bits_per_weight": bits, "size_bytes": size, "kld_mean": None,
        "ln_ppl_ratio": math.log1p(RISE.get(quant, 0.1) / 100), "ln_ppl_ratio_se": 1e-5,
        "ln_ppl_ratio_se_clustered": None, "failure": None, "ppl": 10.0, "is_baseline": False,
    }  # fmt: skip
    return known | changes


def folder(*methods: str) -> list[Row]:
    return [row(method, quant) for method in methods for quant in BITS]


def names(rows: list[Row], picked: frozenset[str] = NONE, most: int = 8) -> list[list[str]]:
    return [[str(item["variant_id"]) for item in band.rows] for band in chosen_bands(rows, picked, most)]


def test_the_recommended_sizes_come_first_and_each_method_has_its_file() -> None:
    assert names(folder("a", "b", "c")) == [["a-Q5", "b-Q5", "c-Q5"], ["a-Q6", "b-Q6", "c-Q6"]]
    assert names(folder("a", "b"), most=6) == [["a-Q5", "b-Q5"], ["a-Q6", "b-Q6"], ["a-Q4", "b-Q4"]]
    assert names(folder("a", "b", "c"), most=2) == [["a-Q5", "b-Q5", "c-Q5"]], "one band is always whole"


def test_each_file_is_in_one_band() -> None:
    rows = folder("a", "b")
    banded = [item["variant_id"] for band in bands_of_siblings(rows) for item in band.rows]
    assert sorted(banded) == sorted(item["variant_id"] for item in rows)
    assert all(len(band) == 2 for band in names(rows, most=99))


def test_files_a_quarter_bit_apart_are_siblings_and_others_are_not() -> None:
    rows = [row("a", "Q5"), row("b", "XL", bits_per_weight=5.8), row("c", "L", bits_per_weight=5.9)]
    assert names(rows) == [["a-Q5", "b-XL"], ["c-L"]]
    first = chosen_bands(rows, NONE, 8)[0]
    assert first.bits == pytest.approx(5.7)
    assert first.name == "5.60–5.80 bits · 5.6–5.8 MB"


def test_the_size_at_which_most_methods_have_a_file_comes_first() -> None:
    """The recommended a-Q5 has a sibling of its size; 0.1 bits above it all three methods have one."""
    larger = [row(method, f"L-{method}", bits_per_weight=5.7) for method in ("a", "b", "c")]
    rows = [row("a", "Q5"), row("b", "Q5"), row("a", "Q2"), *larger]
    assert names(rows, most=5) == [["a-L-a", "b-L-b", "c-L-c"], ["a-Q5", "b-Q5"]]
    assert [band.name for band in bands_of_siblings(rows)[:2]] == ["5.70 bits · 5.7 MB", "Q5 · 5.6 MB"]


def test_files_of_equal_size_are_siblings_before_those_of_like_bits() -> None:
    """1 % apart in size, by both ways of counting, whatever their names; of two of one size that of the same type."""
    near = [row("b", "XL", bits_per_weight=5.6, size_bytes=5_655_000), row("c", "S", bits_per_weight=5.72)]
    assert names([row("a", "Q5"), *near]) == [["a-Q5", "b-XL"], ["c-S"]]
    twins = [row("b", "K", bits_per_weight=5.6), row("b", "Q5")]
    assert names([row("a", "Q5"), *twins])[0] == ["a-Q5", "b-Q5"]


def test_picked_files_are_always_there() -> None:
    rows = folder("a", "b", "c")
    assert names(rows, frozenset({"b-Q2"})) == [["a-Q2", "b-Q2", "c-Q2"], ["a-Q5", "b-Q5", "c-Q5"]]
    many = frozenset({"a-Q2", "b-Q3", "c-Q4"})
    flat = [name for band in names(rows, many, most=8) for name in band]
    assert many <= set(flat)
    assert len(flat) <= 8


def test_one_method_shows_the_sizes_around_the_answers() -> None:
    assert names(folder("a"), most=4) == [["a-Q5"], ["a-Q6"], ["a-Q4"], ["a-Q3"]]
    assert chosen_bands([], NONE, 8) == []
