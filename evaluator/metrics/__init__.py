"""Compute what a variant's scored tokens say of it, and describe each column; one file per family.

A family lists its columns and, if they follow from scored tokens, a function from `TokenScores` to {column: value};
null means not measured. A family that fails leaves its columns null and a warning, so that one statistic never costs
a run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from numbers import Real
from typing import Literal

import numpy as np
import numpy.typing as npt

from evaluator.metrics.columns import Column
from evaluator.support.registry import Registry

Floats = npt.NDArray[np.float64]
Columns = Mapping[str, float | int | None]
Quantity = Callable[["TokenScores"], Floats | None]


@dataclass(frozen=True)
class Family:
    """A group of columns that are measured together.

    Attributes:
        title: name of the group on the screen.
        position: its place among the groups.
        own: its columns without those of their errors.
        measure: from the tokens of a variant to values; None where another stage of a run measures them.
        quantities: what a single token has of its columns, by the name in `Column.tokens`: from the tokens of a
            variant to an array [n], or to None where a baseline has none.
        over: `tokens` where a part of the tokens has values of its own, `all tokens` where only all of them have,
            `file` where values do not depend on tokens.
    """

    title: str
    position: int
    own: tuple[Column, ...]
    measure: Callable[[TokenScores], Columns] | None = None
    quantities: Mapping[str, Quantity] = field(default_factory=dict)
    over: Literal["tokens", "all tokens", "file"] = "tokens"

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, each followed by those of its errors."""
        return tuple(column for own in self.own for column in own.with_errors())


METRIC_FAMILIES: Registry[Family] = Registry("metric family", f"{__name__}.families")


def metric_families() -> list[Family]:
    """All families, by position."""
    return sorted((family for _, family in METRIC_FAMILIES), key=lambda family: family.position)


def quantities() -> dict[str, Quantity]:
    """All quantities of a token, by name."""
    return {name: quantity for family in metric_families() for name, quantity in family.quantities.items()}


@cache
def columns_of(*over: str) -> Mapping[str, Column]:
    """Columns by name of the families over `tokens`, `all tokens` or `file`; of all families without a word."""
    families = [family for family in metric_families() if not over or family.over in over]
    return {item.name: item for family in families for item in family.columns}


@dataclass(frozen=True)
class TokenScores:
    """What one variant scored, non-finite tokens already left out: float64 [n] each, windows int [n].

    What compares with a baseline is None for a baseline itself; `domains`, string [n], is None where all tokens
    are of one domain by construction.
    """

    size_bytes: int
    windows: npt.NDArray[np.int64]
    nll: Floats
    top_prob: Floats
    baseline_nll: Floats | None = None
    kld: Floats | None = None
    same_top: Floats | None = None
    baseline_top_prob: Floats | None = None
    domains: npt.NDArray[np.str_] | None = None

    @property
    def reference_top_prob(self) -> Floats:
        """The baseline's top probability of each token; its own for a baseline."""
        return self.top_prob if self.baseline_top_prob is None else self.baseline_top_prob

    def subset(self, kept: npt.NDArray[np.bool_]) -> TokenScores:
        """Only the tokens where `kept`, bool [n], is true."""
        arrays = [item.name for item in fields(self) if isinstance(getattr(self, item.name), np.ndarray)]
        return replace(self, **{name: getattr(self, name)[kept] for name in arrays})


def measure(scores: TokenScores) -> tuple[dict[str, float | int | None], list[str]]:
    """All families' columns, and one warning per family that failed or column that is no number."""
    columns: dict[str, float | int | None] = {}
    warnings: list[str] = []
    for name, family in METRIC_FAMILIES:
        if family.measure is None:
            continue
        try:
            found = dict(family.measure(scores))
        except Exception as error:  # a broken statistic must not lose the measured tokens
            warnings.append(f"metric family {name} failed: {type(error).__name__}: {error}")
            continue
        for column, value in found.items():
            reason = "is another family's column" if column in columns else _unusable(value)
            if reason:
                warnings.append(f"metric family {name}: {column} {reason}")
            columns.setdefault(column, None if reason else value)
    return columns, warnings


def _unusable(value: object) -> str | None:
    """Why a value cannot stand in a column of numbers."""
    if value is None or (isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)):
        return None
    return f"is {repr(value)[:60]}, not a finite number"
