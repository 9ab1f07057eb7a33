"""Name the picked variants, and what a page measures of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dashboard.results.engines import column_of
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.style import columns, formats
from evaluator.metrics import columns_of

_MOST_NAMED = 4


@dataclass(frozen=True)
class Telling:
    """What a page tells of a variant: the quantity's name, and its value in words, empty if it was not measured."""

    what: str
    value: Callable[[Row], str]


#: Returns what a page tells of variants under its switches.
Tells = Callable[[Scope], Telling]


def picked(scope: Scope) -> list[Row]:
    """Return the picked variants' rows over the selected tokens, fewest bits first; filters do not remove any."""
    if not scope.selection.picked:
        return []
    rows = scope.results.select(scope.all_variants).to_dicts()
    kept = [row for row in rows if row["variant_id"] in scope.selection.picked]
    return sorted(kept, key=lambda row: (row["bits_per_weight"], row["variant_id"]))


def names(scope: Scope) -> str:
    """Return the picked variants' names; empty without picks."""
    labels = [str(row["label"]) for row in picked(scope)]
    return formats.listing(labels, _MOST_NAMED) if labels else ""


def by_column(column: str) -> Tells:
    """Return what tells a column of the variants frame, or of the chosen engine (`run_…`)."""

    def tells(scope: Scope) -> Telling:
        described = columns_of().get(column) or column_of(scope.engine, column)
        if described is None:
            return Telling("", lambda _row: "")
        return Telling(
            described.label,
            lambda row: "" if row.get(column) is None else columns.value(described, row[column]),
        )

    return tells


#: The divergence from the baseline, which every page can tell.
DIVERGENCE = by_column("kld_mean")


def sentence(scope: Scope, tells: Tells = DIVERGENCE) -> str:
    """Return the line under a page's title: `Picked (Mean KLD): A 0.022 nats, B 0.031 nats`; empty without picks."""
    rows = picked(scope)
    if not rows:
        return ""
    passing, telling = set(scope.frame["variant_id"].to_list()), tells(scope)
    parts = [_part(row, telling, passes=row["variant_id"] in passing) for row in rows[:_MOST_NAMED]]
    more = len(rows) - len(parts)
    what = f" ({telling.what})" if telling.what else ""
    return f"Picked{what}: {', '.join(parts)}{f' and {more} more' if more else ''}"


def _part(row: Row, telling: Telling, *, passes: bool) -> str:
    known = f"{row['label']} {telling.value(row) or 'not measured'}"
    return known if passes else f"{known} (filtered out)"
