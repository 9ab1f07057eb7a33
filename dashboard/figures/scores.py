"""Qualities of a variant as scores from 0 to 1 against fixed references: the columns with a `Score`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dashboard.results.rows import Row, complete
from dashboard.results.scope import Scope
from dashboard.style import columns, formats
from dashboard.style.names import in_figure
from evaluator.metrics import columns_of
from evaluator.metrics.columns import Column, Score


@dataclass(frozen=True)
class Axis:
    """One spoke: `score` gives 0–1 or None where it was not measured, `raw` writes the value behind it."""

    name: str
    reference: str
    score: Callable[[Row], float | None]
    raw: Callable[[Row], str]

    def hover(self, row: Row, score: float) -> str:
        """Return the hover text of a variant's place on this axis."""
        lines = (
            f"<b>{in_figure(row['label'])}</b>",
            f"{self.name} {formats.percent(score)}",
            self.raw(row),
            self.reference,
        )
        return "<br>".join(lines)


def axes(scope: Scope) -> list[Axis]:
    """Axes of the scored columns, those against the best of the folder last, without those nobody was measured on.

    References are of all variants, over the tokens that the selection counts: a filter of variants never rescales
    them; one of tokens computes values and references anew.
    """
    rows = scope.results.select(scope.selection.tokens_alone).to_dicts()
    by_name = columns_of()
    scored = [(column, column.score) for column in by_name.values() if column.score is not None]
    found = [
        _axis(column, by_name[score.shown or column.name], score, rows)
        for column, score in sorted(scored, key=lambda item: item[1].rule == "best")
    ]
    return [axis for axis in found if axis is not None]


def _axis(column: Column, shown: Column, score: Score, rows: Sequence[Row]) -> Axis | None:
    best: float | None = None
    reference = score.reference
    measured = [row[column.name] for row in complete(rows, column.name)]
    if not measured:
        return None
    if score.rule == "best":
        best = min(measured) if column.better == "lower" else max(measured)
        if not best:
            return None
        reference = f"{reference}, {columns.short(column, best)} = 100 %"

    def scored(row: Row) -> float | None:
        return None if row[column.name] is None else _score(column, score, row[column.name], best)

    def raw(row: Row) -> str:
        return f"{score.short} {columns.short(shown, row[shown.name])}".lstrip()

    return Axis(score.axis, reference, scored, raw)


def _score(column: Column, score: Score, value: float, best: float | None) -> float | None:
    """Return a value as a score; None where it has no ratio to the best one."""
    if score.rule == "exp":
        return math.exp(-max(0.0, value))
    if score.rule == "share":
        return 1 - value if column.better == "lower" else value
    first, second = (best, value) if column.better == "lower" else (value, best)
    return min(1.0, first / second) if first is not None and second else None
