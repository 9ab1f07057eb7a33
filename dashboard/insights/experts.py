"""Find the worst of a mixture's experts, and say how much the experts of a layer differ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from dashboard.insights import Insight
from dashboard.insights.layers import Cell, Errors, Shown, experts_of
from dashboard.results.results import Results
from dashboard.results.rows import Row
from dashboard.results.selection import Selection
from dashboard.style import formats

#: The worst of a layer's experts over their mean, below which they count as hit evenly.
_EVEN = 1.25


@dataclass(frozen=True)
class Expert:
    """An expert: its place, its number, its relative weight error, and the mean error of the experts there."""

    cell: Cell
    number: int
    error: float
    mean: float

    @property
    def ratio(self) -> float | None:
        """The error over the mean; None if all are 0."""
        return self.error / self.mean if self.mean > 0 else None

    @property
    def place(self) -> str:
        """The role and the layer in words."""
        return f"{self.cell[1]} in layer {self.cell[0]}"

    @property
    def times(self) -> str:
        """The error as a multiple of the mean; empty if there is nothing to tell."""
        written = formats.times(self.ratio)
        return f", {written} the mean of its layer's experts" if written else ""


def worst_in(cell: Cell, errors: Errors) -> Expert | None:
    """Return the worst expert of one place; None if no expert there has an error."""
    known = [error for error in errors if error is not None]
    if not known:
        return None
    worst = max(known)
    return Expert(cell, errors.index(worst), worst, math.fsum(known) / len(known))


def worst_of(experts: Mapping[Cell, Errors]) -> Expert | None:
    """Return the worst expert of several places."""
    return max(_worst_each(experts), key=lambda expert: expert.error, default=None)


def _worst_each(experts: Mapping[Cell, Errors]) -> list[Expert]:
    return [worst for cell, errors in experts.items() if (worst := worst_in(cell, errors)) is not None]


def opened(shown: Shown, selection: Selection) -> str | None:
    """Return the role whose experts are shown one by one: the only framed one, if it stacks experts there."""
    role = next(iter(selection.roles), "")
    if shown.measure.of_layers or len(selection.roles) != 1:
        return None
    places = {cell for part in shown.parts.values() for cell in part.experts}
    held = any(name == role and (not selection.layers or layer in selection.layers) for layer, name in places)
    return role if held else None


def statements(results: Results, rows: Sequence[Row]) -> list[Insight]:
    """Name the worst expert of all, and say how much the experts of a layer differ; nothing without experts."""
    labels = {str(row["variant_id"]): str(row["label"]) for row in rows}
    by_variant = {name: experts for name, experts in experts_of(results, rows).items() if experts}
    worst = [(labels[name], expert) for name, places in by_variant.items() for expert in _worst_each(places)]
    if not worst or max(expert.error for _, expert in worst) == 0:
        return []
    unknown = sum(error is None for error in _all(by_variant))
    return [_worst_of_all(worst, unknown), *_spread(worst)]


def _all(by_variant: Mapping[str, Mapping[Cell, Errors]]) -> Iterable[float | None]:
    return (error for places in by_variant.values() for errors in places.values() for error in errors)


def _worst_of_all(worst: Sequence[tuple[str, Expert]], unknown: int) -> Insight:
    label, expert = max(worst, key=lambda item: item[1].error)
    text = f"The worst expert is number {expert.number} of {expert.place}{expert.times}."
    detail = f"{label}: relative weight error {formats.number(expert.error)}; experts are counted from 0"
    if unknown:
        detail += f"; {unknown} without a finite error or with an empty baseline are left out"
    return Insight(text, "finding", detail)


def _spread(worst: Sequence[tuple[str, Expert]]) -> list[Insight]:
    ratios = [(ratio, label, expert) for label, expert in worst if (ratio := expert.ratio) is not None]
    if not ratios:
        return []
    most, label, expert = max(ratios, key=lambda item: item[0])
    typical = formats.number(median(ratio for ratio, _, _ in ratios))
    how = "evenly" if most < _EVEN else "unevenly"
    text = f"The experts of a layer are hit {how}: the worst has at most {formats.number(most)} × the mean error."
    detail = f"median {typical} ×; the most is {expert.place} of {label}; under {_EVEN} × counts as even"
    return [Insight(text, "finding", detail)]
