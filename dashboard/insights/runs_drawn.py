"""Word what a plot of speed draws of the runs: in which engine, and what running adds to the loss."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.insights.engine_gap import GAP, unknown_gap
from dashboard.insights.engines_compared import others
from dashboard.results.engines import as_run_by, in_words
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.style import formats
from evaluator.results.schema import FIRST_ENGINE


def runs_in_words(
    scope: Scope, rows: Sequence[Row], more: Sequence[Row], *, is_crowded: bool, picking: bool
) -> str:
    """Say what runs at the drawn speed, and how far it is from the baseline; `more` are runs in other engines."""
    unknown = f"The loss that running adds is {unknown_gap(scope.selection)}."
    known = any(row[GAP] is not None for row in (*rows, *more))
    if more:
        chosen, other = in_words(scope.engine), formats.listing(list(map(in_words, others(scope))))
        lines = "Lines up to a dash lead to the loss of the file as run in each engine." if known else unknown
        plain = "without lines and bars" if is_crowded else "with dotted lines and without bars"
        joined = "labelled" if is_crowded and not picking else "picked"
        return (
            f"Filled, with full lines: {chosen}; open, {plain}: {other}. The points of a file are at one height, and "
            f"joined if it is {joined}. {lines} Large and shaded: of the filled points."
        )
    packed = scope.engine == FIRST_ENGINE
    timed_as = "Timed is the model packed as ONNX." if packed else f"Timed {as_run_by(scope.engine)}."
    if not known:
        return f"{timed_as} {unknown}"
    if packed:
        return (
            f"{timed_as} A line up to a hollow marker adds the loss from packing: the model that runs at this speed "
            "is about that far from the baseline."
        )
    return f"{timed_as} A line leads to a hollow marker at the loss of the file as run there, {_measured_on(rows)}."


def _measured_on(rows: Sequence[Row]) -> str:
    """Say on which tokens the losses as run were measured."""
    some = [ran for row in rows if (ran := row["run_n_tokens"]) and ran < row["n_tokens"]]
    if not some:
        return "which was measured"
    return f"its own loss and what running changed on {formats.count(min(some))} tokens"
