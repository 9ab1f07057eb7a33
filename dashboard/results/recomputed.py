"""Recompute the variants frame over some of the tokens."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from dashboard.results.selection import TokenFilter
from dashboard.results.token_parts import TokenParts
from evaluator.metrics import columns_of
from evaluator.results.schema import STATISTICS

_COUNTS = ("n_tokens", "n_windows")


def over_tokens(
    variants: pl.DataFrame, parts: Sequence[TokenParts | None], wanted: TokenFilter
) -> pl.DataFrame:
    """Return the variants with all statistics over the wanted tokens; `parts` are their tokens, row by row.

    Null is what a row without tokens lacks, and what exists over all tokens only.
    """
    statistics = [{} if item is None else item.statistics(wanted) for item in parts]
    replaced = set(STATISTICS).union(columns_of("all tokens"), *statistics) & set(variants.columns)
    columns = [
        pl.Series(name, [values.get(name) for values in statistics], dtype=dtype, strict=False)
        for name, dtype in variants.schema.items()
        if name in replaced or name in _COUNTS
    ]
    return variants.with_columns(columns).with_columns(pl.col(*_COUNTS).fill_null(0))
