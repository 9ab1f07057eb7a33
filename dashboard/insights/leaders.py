"""Find the leader on each metric; a lead within its error does not count."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.insights.claim_rules import DECODE_TIME
from dashboard.insights.comparison import rank_mixtures
from dashboard.insights.speed_order import fastest
from dashboard.results.engines import shown
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from evaluator.metrics import columns_of
from evaluator.metrics.columns import Column

#: Metrics, named like their axes of the radar.
PERPLEXITY, FIDELITY, TAIL = "perplexity", "mean KLD", "KLD p99"
SIZE, MEMORY, EFFICIENCY = "file size", "peak memory", "1/PPL per MB"
DECODE, PREFILL = "decode speed", "prefill speed"
#: Metrics that are compared by their own rules.
_SPECIAL = ("decode_ms_p50", "prefill_tps", "kld_p990")
#: Sizes that differ by at most this share are equal.
_SAME = 0.01
#: Most rows compared token by token, at a millisecond each: the best by their stored means.
_MOST_RANKED = 48


def leaders(scope: Scope, rows: Sequence[Row]) -> dict[str, Row | None]:
    """Return the leader per metric that all rows have; None if its lead is within the error, or 1 % for sizes."""
    contending = contenders(scope, rows)
    return {metric: first[0] if len(first) == 1 else None for metric, first in contending.items()}


def contenders(scope: Scope, rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return, per metric that all rows have, the rows that may be the best, the best measured one first."""
    if len(rows) < 2:
        return {}
    candidates: dict[str, list[Row]] = {}
    of = {str(row["variant_id"]): row for row in rows}
    metrics = _metrics()
    for name, column in metrics.items():
        if not column.tokens or all(row.get(column.name) is None for row in rows):
            continue
        near, largest = _nearest(rows, column), column.better == "higher"
        mixtures = {str(row["variant_id"]): {str(row["variant_id"]): 1.0} for row in near}
        ranking = rank_mixtures(scope, near, mixtures, column.tokens, largest=largest)
        if ranking is not None and len(ranking.gaps) == len(near) - 1:
            candidates[name] = [of[variant] for variant in (ranking.best, *ranking.tied)]
    for name, column in metrics.items():
        if not column.tokens and all(row[shown(column)] is not None for row in rows):
            candidates[name] = _within_one_percent(rows, column)
    if all(row[DECODE_TIME[1]] is not None for row in rows):
        candidates[DECODE] = fastest(scope.results, rows)
    if PERPLEXITY in candidates and all(row["inv_ppl_per_mb"] is not None for row in rows):
        candidates[EFFICIENCY] = _efficient(rows, candidates)
    return candidates


def _metrics() -> dict[str, Column]:
    """Return the columns of the radar's axes by name, without the special ones."""
    return {
        column.score.axis: column
        for column in columns_of().values()
        if column.score is not None and column.name not in _SPECIAL
    }


def _within_one_percent(rows: Sequence[Row], column: Column) -> list[Row]:
    """Return the best by a quantity without an error, and those within 1 % of it."""
    name = shown(column)
    if column.better == "higher":
        ordered = sorted(rows, key=lambda row: (-row[name], row["variant_id"]))
        return [row for row in ordered if ordered[0][name] <= row[name] * (1 + _SAME)]
    ordered = sorted(rows, key=lambda row: (row[name], row["variant_id"]))
    return [row for row in ordered if row[name] <= ordered[0][name] * (1 + _SAME)]


def _efficient(rows: Sequence[Row], candidates: dict[str, list[Row]]) -> list[Row]:
    """Return the best by 1/PPL/MB, those within 1 % of it, and those tied with it by perplexity and by size."""
    ordered = sorted(rows, key=lambda row: (row["inv_ppl_per_mb"], row["variant_id"]), reverse=True)
    best = ordered[0]

    def contends(row: Row) -> bool:
        close = bool(best["inv_ppl_per_mb"] <= row["inv_ppl_per_mb"] * (1 + _SAME))
        return close or all(one in candidates[name] for name in (PERPLEXITY, SIZE) for one in (best, row))

    return [best, *(row for row in ordered[1:] if contends(row))]


def _nearest(rows: Sequence[Row], column: Column) -> Sequence[Row]:
    """Return the rows that may lead or tie: all of few, of many the best by their stored means.

    Empty if there are many and one was not measured.
    """
    if len(rows) <= _MOST_RANKED:
        return rows
    if any(row[column.name] is None for row in rows):
        return []
    sign = -1.0 if column.better == "higher" else 1.0
    return sorted(rows, key=lambda row: (sign * row[column.name], row["variant_id"]))[:_MOST_RANKED]
