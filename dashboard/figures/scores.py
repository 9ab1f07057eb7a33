"""Turn columns with a `Score` into scores from 0 to 1 against fixed references."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dashboard.results import engines
from dashboard.results.rows import Row, complete
from dashboard.results.scope import Scope
from dashboard.style import columns, formats
from dashboard.style.names import in_figure
from evaluator.metrics import columns_of
from evaluator.metrics.columns import Column, Score


@dataclass(frozen=True)
class Axis:
    """One axis: `score` returns 0–1, or None if not measured; `raw` writes the value.

    `loss` returns a quantity of which half is twice as good, or None if not measured: the value itself, what is
    missing to all, or time. `where` is the engine of a run.
    """

    name: str
    reference: str
    score: Callable[[Row], float | None]
    raw: Callable[[Row], str]
    loss: Callable[[Row], float | None]
    where: str = ""

    def hover(self, row: Row, score: float) -> str:
        """Return the hover text of a variant on this axis."""
        lines = (
            f"<b>{in_figure(row['label'])}</b>",
            f"{self.name} {formats.percent(score)}",
            self.raw(row),
            self.reference,
        )
        return "<br>".join(lines)


def axes(scope: Scope) -> list[Axis]:
    """Return the axes of all measured columns with a score; those relative to the folder's best come last.

    References are over all variants and the selected tokens: variant filters never rescale an axis; token filters
    recompute values and references.
    """
    rows = scope.results.select(scope.all_variants).to_dicts()
    by_name = columns_of()
    scored = [
        (column, column.score)
        for column in by_name.values()
        if column.score is not None
        and not (column.score.unless and complete(rows, engines.shown(by_name[column.score.unless])))
    ]
    all_axes = [
        _axis(column, by_name[score.shown or column.name], score, rows, scope.in_engine)
        for column, score in sorted(scored, key=lambda item: item[1].rule == "best")
    ]
    return [axis for axis in all_axes if axis is not None]


def _axis(column: Column, shown: Column, score: Score, rows: Sequence[Row], in_engine: str) -> Axis | None:
    best: float | None = None
    reference = score.reference
    name = engines.shown(column)
    measured = [row[name] for row in complete(rows, name)]
    if not measured:
        return None
    if score.rule == "best":
        best = min(measured) if column.better == "lower" else max(measured)
        if not best:
            return None
        where = in_engine if column.run else ""
        reference = f"{reference}{where}, {columns.short(column, best)} = 100 %"

    def scored(row: Row) -> float | None:
        return None if row[name] is None else _score(column, score, row[name], best)

    def raw(row: Row) -> str:
        return f"{score.short} {columns.short(shown, row[engines.shown(shown)])}".lstrip()

    def loss(row: Row) -> float | None:
        return None if row[name] is None else _loss(column, score, row[name])

    return Axis(score.axis, reference, scored, raw, loss, in_engine if column.run else "")


def _loss(column: Column, score: Score, value: float) -> float | None:
    """Return a value as a quantity of which half is twice as good; None if it has none."""
    if column.name == "ln_ppl_ratio":
        return math.exp(value)
    if column.better == "lower":
        return max(0.0, value)
    if score.rule == "share":
        return 1 - value
    return 1 / value if value > 0 else None


def _score(column: Column, score: Score, value: float, best: float | None) -> float | None:
    """Return a value as a score; None if it has no ratio to the best one."""
    if score.rule == "exp":
        return math.exp(-max(0.0, value))
    if score.rule == "share":
        return 1 - value if column.better == "lower" else value
    first, second = (best, value) if column.better == "lower" else (value, best)
    return min(1.0, first / second) if first is not None and second else None
