"""Find files that were measured and failed: non-finite tokens, or a uselessly high perplexity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from dashboard.style import formats

#: A file whose perplexity exceeds the baseline's by this factor predicts no better than guessing.
USELESS = 1000
COLUMN = "failure"


def with_failures(variants: pl.DataFrame) -> pl.DataFrame:
    """Add `failure`: how a variant failed over all tokens, in words, else null. Needs the column `baseline_id`.

    Tokens that are not finite in the baseline either are not counted.
    """
    own = dict(variants.select("variant_id", "n_nonfinite").iter_rows())
    names = [_failure(row, own.get(row["baseline_id"], 0)) for row in variants.iter_rows(named=True)]
    return variants.with_columns(pl.Series(COLUMN, names, dtype=pl.String))


def _failure(row: Mapping[str, Any], of_baseline: int) -> str | None:
    if row["is_baseline"]:
        return None
    lost, total = row["n_nonfinite"] - of_baseline, row["n_tokens"]
    if lost > 0:
        return f"{formats.count(lost)} of {formats.count(total)} tokens not finite"
    if is_useless(row):
        return f"perplexity {formats.number(row['ppl'])}, over {USELESS:,} times the baseline's"
    return None


def is_useless(row: Mapping[str, Any]) -> bool:
    """Return whether a variant's perplexity is over `USELESS` times the baseline's on the same tokens.

    Such a value would flatten all others on an axis.
    """
    ratio = row.get("ln_ppl_ratio")
    return ratio is not None and ratio > math.log(USELESS)


def in_words(row: Mapping[str, Any]) -> str:
    """Name a failed variant, its file and how it failed."""
    return f"{row['label']} ({row['source']}) failed: {row[COLUMN]}"
