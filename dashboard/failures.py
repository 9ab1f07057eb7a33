"""Files that were measured and failed: tokens that are not finite, or a perplexity beyond all use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from dashboard import formats
from dashboard.drawing import Drawing
from dashboard.insights import Insight

#: From this factor over the baseline's perplexity on a file says no more about the text than guessing does.
USELESS = 1000
COLUMN = "failure"
_MOST_NAMED = 3


def with_failures(variants: pl.DataFrame) -> pl.DataFrame:
    """Add `failure`: how a variant failed over all tokens, in words, else null. Needs the column `baseline_id`.

    Tokens that are not finite in the baseline already are not counted: they say nothing of the variant.
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
    """Whether a variant's perplexity, over the tokens that count, is over `USELESS` times the baseline's.

    Such a value would flatten every other one on an axis.
    """
    ratio = row.get("ln_ppl_ratio")
    return ratio is not None and ratio > math.log(USELESS)


def left_out(rows: Sequence[Mapping[str, Any]], drawn: Drawing) -> list[str]:
    """Name the variants that a figure does not show because they failed, each with its file and how it failed."""
    shown = {_variant(item) for trace in drawn.data for item in trace.get("customdata") or ()}
    failed = [row for row in rows if row.get(COLUMN) and (row["ppl"] is None or is_useless(row))]
    return [in_words(row) for row in failed if row["variant_id"] not in shown]


def _variant(item: Sequence[Any]) -> object:
    """Return the variant that an entry of a figure's `customdata`, or a row of such entries, stands for."""
    first = item[0] if item else None
    return _variant(first) if isinstance(first, list | tuple) else first


def note(names: Sequence[str]) -> str:
    """Say in a caption which variants are not drawn, in front of what follows there."""
    if not names:
        return ""
    more = f"; {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"Not drawn: {'; '.join(names[:_MOST_NAMED])}{more}. "


def in_words(row: Mapping[str, Any]) -> str:
    """Name a failed variant, its file and how it failed."""
    return f"{row['label']} ({row['source']}) failed: {row[COLUMN]}"


def failures(rows: Sequence[Mapping[str, Any]]) -> list[Insight]:
    """Say of each failed variant what failed, and what that means for its other numbers."""
    return [Insight(f"{in_words(row)}.", "caution", _meaning(row)) for row in rows if row.get(COLUMN)]


def _meaning(row: Mapping[str, Any]) -> str:
    if is_useless(row):
        return "left out of every chart and never recommended; the file is broken, or is another model's"
    if row["ppl"] is None:
        return "nothing could be computed from it; the file is broken"
    return "its numbers are over the other tokens only, so they flatter it; never recommended"
