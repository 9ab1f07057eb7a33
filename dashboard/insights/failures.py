"""Sentences about files that were measured and failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dashboard.insights import Insight
from dashboard.results.failures import COLUMN, in_words, is_useless

_MOST_NAMED = 3


def note(names: Sequence[str]) -> str:
    """Say in a caption which variants are not drawn, in front of what follows there."""
    if not names:
        return ""
    more = f"; {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"Not drawn: {'; '.join(names[:_MOST_NAMED])}{more}. "


def failures(rows: Sequence[Mapping[str, Any]]) -> list[Insight]:
    """Say of each failed variant what failed, and what that means for its other numbers."""
    return [Insight(f"{in_words(row)}.", "caution", _meaning(row)) for row in rows if row.get(COLUMN)]


def _meaning(row: Mapping[str, Any]) -> str:
    if is_useless(row):
        return "left out of every chart and never recommended; the file is broken, or is another model's"
    if row["ppl"] is None:
        return "nothing could be computed from it; the file is broken"
    return "its numbers are over the other tokens only, so they flatter it; never recommended"
