"""Describe files that were measured and failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dashboard.insights import Insight
from dashboard.results.failures import COLUMN, in_words, is_useless

_MOST_NAMED = 3


def note(names: Sequence[str]) -> str:
    """Return the start of a caption that names the variants not drawn; empty if all are."""
    if not names:
        return ""
    more = f"; {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"Not drawn: {'; '.join(names[:_MOST_NAMED])}{more}. "


def failures(rows: Sequence[Mapping[str, Any]]) -> list[Insight]:
    """Say how each failed variant failed, and what that means for its other values."""
    return [Insight(f"{in_words(row)}.", "caution", _meaning(row)) for row in rows if row.get(COLUMN)]


def _meaning(row: Mapping[str, Any]) -> str:
    if is_useless(row):
        return "left out of every chart and never recommended; the file is broken or belongs to another model"
    if row["ppl"] is None:
        return "nothing could be computed from it; the file is broken"
    return "its values cover only the other tokens, so they look too good; never recommended"
