"""Summaries of timed repetitions, for a few rows computed by hand."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from dashboard.results.timings import decode_depths, prefill_ends, repetitions


def frame(*rows: tuple[str, str, int, float, int]) -> pl.DataFrame:
    names = ("variant_id", "phase", "tokens", "seconds", "context")
    parts: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in rows]
    return pl.DataFrame(parts, schema_overrides={"tokens": pl.UInt32, "context": pl.UInt32})


def test_tokens_decoded_in_a_row_are_of_one_depth() -> None:
    """Two rounds of two tokens on an empty cache and after a prompt of 2, one of them after 100 too."""
    rounds = [("a", "prefill", 2, 1.0, 0), *(("a", "decode", 1, t, c) for c, t in ((0, 0.1), (1, 0.2)))]
    after = [("a", "decode", 1, t, c) for c, t in ((2, 0.3), (3, 0.4))]
    deep = [("a", "prefill", 96, 1.0, 4), ("a", "decode", 1, 0.8, 100), ("a", "decode", 1, 1.0, 101)]
    found = decode_depths(frame(*rounds, *after, *deep, *rounds, *after))
    assert found.select("depth", "count").rows() == [(0, 4), (2, 4), (100, 2)]
    assert found["ms"].to_list() == pytest.approx([150, 350, 900])


def test_prompts_read_to_reach_a_depth_do_not_count() -> None:
    rows = frame(
        ("a", "prefill", 100, 1.0, 0), ("a", "prefill", 100, 2.0, 0), ("a", "prefill", 100, 50.0, 132)
    )
    assert prefill_ends(rows).row(0) == ("a", pytest.approx(55), pytest.approx(95))
    assert repetitions(rows, "prefill") == {"a": 2}


def test_repetitions_are_those_of_one_depth() -> None:
    rows = frame(*(("a", "decode", 4, 1.0, context) for context in (0, 50, 50, 900)))
    assert repetitions(rows, "decode") == {"a": 2}


def test_without_timings() -> None:
    assert prefill_ends(None).columns == ["variant_id", "prefill_p10", "prefill_p90"]
    assert decode_depths(None).columns == decode_depths(frame(("a", "decode", 1, 1.0, 0))).columns
