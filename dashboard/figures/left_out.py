"""Name failed variants that a figure does not show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dashboard.figures.drawing import Drawing
from dashboard.results.failures import COLUMN, in_words, is_useless


def left_out(rows: Sequence[Mapping[str, Any]], drawn: Drawing) -> list[str]:
    """Name the failed variants that a figure does not show, each with its file and how it failed."""
    shown = {_variant(item) for trace in drawn.data for item in trace.get("customdata") or ()}
    failed = [row for row in rows if row.get(COLUMN) and (row["ppl"] is None or is_useless(row))]
    return [in_words(row) for row in failed if row["variant_id"] not in shown]


def _variant(item: Sequence[Any]) -> object:
    """Return the variant of an entry of a figure's `customdata`, or of a row of such entries."""
    first = item[0] if item else None
    return _variant(first) if isinstance(first, list | tuple) else first
