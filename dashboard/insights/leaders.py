"""Who leads on which metric, where a lead inside its error is none."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.charts import Row
from dashboard.insights.comparison import rank_mixtures, stored
from dashboard.insights.judging import overlap
from dashboard.results import Results
from dashboard.selection import Selection

PERPLEXITY, FIDELITY, TOP = "perplexity", "KLD", "same top token"
SIZE, MEMORY, EFFICIENCY, DECODE = "size", "memory", "efficiency", "decode speed"
#: Per-token quantities, compared token by token: column, and whether more is better.
_PER_TOKEN = {PERPLEXITY: ("nll", False), FIDELITY: ("kld", False), TOP: ("same_top", True)}
#: Quantities without an error, of which less is better.
_EXACT = {SIZE: "size_bytes", MEMORY: "peak_rss_bytes"}
#: A file or a process that is smaller by no more than this share is of the same size.
_SAME = 0.01
#: How many rows are compared token by token, which takes a millisecond each: the best by their stored means.
_MOST_RANKED = 48


def leaders(results: Results, selection: Selection, rows: Sequence[Row]) -> dict[str, Row | None]:
    """Best row per metric that every row has; None where the lead is inside its error, or under 1 % of size."""
    if len(rows) < 2:
        return {}
    found: dict[str, Row | None] = {}
    of = {str(row["variant_id"]): row for row in rows}
    for name, (column, largest) in _PER_TOKEN.items():
        near = contenders(rows, column, largest=largest)
        mixtures = {str(row["variant_id"]): {str(row["variant_id"]): 1.0} for row in near}
        ranking = rank_mixtures(results, selection, near, mixtures, column, largest=largest)
        if ranking is not None and len(ranking.gaps) == len(near) - 1:
            found[name] = None if ranking.tied else of[ranking.best]
    for name, column in _EXACT.items():
        if all(row[column] is not None for row in rows):
            first, second, *_ = sorted(rows, key=lambda row: (row[column], row["variant_id"]))
            found[name] = None if second[column] <= first[column] * (1 + _SAME) else first
    if all(row["decode_ms_p50"] is not None for row in rows):
        first, second, *_ = sorted(rows, key=lambda row: (row["decode_ms_p50"], row["variant_id"]))
        found[DECODE] = None if overlap(first, second) else first
    found |= _efficiency(rows, found)
    return found


def contenders(rows: Sequence[Row], column: str, *, largest: bool) -> Sequence[Row]:
    """Return the rows that may lead, or be tied with who leads: of many the best by their stored means.

    Of few all; none where one of many was not measured.
    """
    if len(rows) <= _MOST_RANKED:
        return rows
    means = {str(row["variant_id"]): stored(row, column).value for row in rows}
    if None in means.values():
        return []
    sign = -1.0 if largest else 1.0
    return sorted(rows, key=lambda row: (sign * means[row["variant_id"]], row["variant_id"]))[:_MOST_RANKED]


def _efficiency(rows: Sequence[Row], found: dict[str, Row | None]) -> dict[str, Row | None]:
    """1/PPL/MB: a lead unless perplexity is tied and the sizes are, or it is within 1 %."""
    if PERPLEXITY not in found or any(row["inv_ppl_per_mb"] is None for row in rows):
        return {}
    second, best = sorted(rows, key=lambda row: (row["inv_ppl_per_mb"], row["variant_id"]))[-2:]
    close = best["inv_ppl_per_mb"] <= second["inv_ppl_per_mb"] * (1 + _SAME)
    undecided = found[PERPLEXITY] is None and found[SIZE] is None
    return {EFFICIENCY: None if close or undecided else best}
