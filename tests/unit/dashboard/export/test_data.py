"""Frames as files: lists of numbers in a CSV, and texts that a spreadsheet would run."""

from __future__ import annotations

import csv
import io

import polars as pl

from dashboard.export.data import encode

FRAME = pl.DataFrame(
    {
        "role": pl.Series(["ffn_down_exps", "=1+1", "-2", None], dtype=pl.String),
        "expert_errors": pl.Series([[0.5, None, 0.25], None, [], [-1.5]], dtype=pl.List(pl.Float64)),
        "weight_error": [0.5, -1.0, None, 2.0],
    }
)


def rows(frame: pl.DataFrame) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(encode(frame, "csv").decode())))


def test_a_list_becomes_its_items_and_each_keeps_its_place() -> None:
    cells = [row["expert_errors"] for row in rows(FRAME)]
    assert cells[0].split(" ") == ["0.5", "null", "0.25"], "the second expert has no error"
    assert cells[1] == "", "no list"
    assert cells[2] == ""
    assert cells[3] == "-1.5", "a number stays a number"


def test_texts_that_look_like_formulas_are_guarded_and_numbers_are_not() -> None:
    found = rows(FRAME)
    assert [row["role"] for row in found] == ["ffn_down_exps", "'=1+1", "'-2", ""]
    assert [row["weight_error"] for row in found] == ["0.5", "-1.0", "", "2.0"]


def test_texts_in_a_list_are_guarded_like_others() -> None:
    frame = pl.DataFrame({"names": [["=1+1", "b"], ["a", "@b"]]})
    assert [row["names"] for row in rows(frame)] == ["'=1+1 b", "a @b"]


def test_parquet_keeps_lists() -> None:
    assert pl.read_parquet(io.BytesIO(encode(FRAME, "parquet"))).equals(FRAME)
