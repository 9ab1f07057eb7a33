"""Who leads on which metric, where a lead inside its error is none."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.insights.claim_rules import overlap
from dashboard.insights.comparison import rank_mixtures, stored
from dashboard.results.rows import Row
from dashboard.results.scope import Scope

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


def leaders(scope: Scope, rows: Sequence[Row]) -> dict[str, Row | None]:
    """Best row per metric that every row has; None where the lead is inside its error, or under 1 % of size."""
    found = contenders(scope, rows)
    return {metric: first[0] if len(first) == 1 else None for metric, first in found.items()}


def contenders(scope: Scope, rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows that may be the best, the best measured one first, per metric that every row has."""
    if len(rows) < 2:
        return {}
    found: dict[str, list[Row]] = {}
    of = {str(row["variant_id"]): row for row in rows}
    for name, (column, largest) in _PER_TOKEN.items():
        near = _nearest(rows, column, largest=largest)
        mixtures = {str(row["variant_id"]): {str(row["variant_id"]): 1.0} for row in near}
        ranking = rank_mixtures(scope, near, mixtures, column, largest=largest)
        if ranking is not None and len(ranking.gaps) == len(near) - 1:
            found[name] = [of[variant] for variant in (ranking.best, *ranking.tied)]
    for name, column in _EXACT.items():
        if all(row[column] is not None for row in rows):
            ordered = sorted(rows, key=lambda row: (row[column], row["variant_id"]))
            found[name] = [row for row in ordered if row[column] <= ordered[0][column] * (1 + _SAME)]
    if all(row["decode_ms_p50"] is not None for row in rows):
        first, *others = sorted(rows, key=lambda row: (row["decode_ms_p50"], row["variant_id"]))
        found[DECODE] = [first, *(row for row in others if overlap(first, row))]
    if PERPLEXITY in found and all(row["inv_ppl_per_mb"] is not None for row in rows):
        found[EFFICIENCY] = _efficient(rows, found)
    return found


def _efficient(rows: Sequence[Row], found: dict[str, list[Row]]) -> list[Row]:
    """1/PPL/MB: the best, those within 1 % of it, and those tied with it by perplexity and by size."""
    ordered = sorted(rows, key=lambda row: (row["inv_ppl_per_mb"], row["variant_id"]), reverse=True)
    best = ordered[0]

    def contends(row: Row) -> bool:
        close = bool(best["inv_ppl_per_mb"] <= row["inv_ppl_per_mb"] * (1 + _SAME))
        return close or all(one in found[name] for name in (PERPLEXITY, SIZE) for one in (best, row))

    return [best, *(row for row in ordered[1:] if contends(row))]


def _nearest(rows: Sequence[Row], column: str, *, largest: bool) -> Sequence[Row]:
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
