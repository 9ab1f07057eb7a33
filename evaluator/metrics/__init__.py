"""Compute a variant's statistics from its scored tokens, and describe each column; one file per metric family.

A family lists its columns and, if they follow from scored tokens, a function from `TokenScores` to {column: value};
null means not measured. If a family fails, its columns are null and a warning is reported; the run goes on.
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
        position: position among the groups.
        own: columns without their standard errors.
        measure: computes the values from a variant's tokens; None if another stage of a run measures them.
        quantities: name in `Column.tokens` → function from a variant's tokens to the value per token, array [n],
            or None for a baseline that has no such value.
        over: `tokens` if the values exist for any subset of the tokens, `all tokens` if only for all of them,
            `file` if they do not depend on tokens.
        engine: name of the engine in which the columns are measured; empty if in none.
    """

    title: str
    position: int
    own: tuple[Column, ...]
    measure: Callable[[TokenScores], Columns] | None = None
    quantities: Mapping[str, Quantity] = field(default_factory=dict)
    over: Literal["tokens", "all tokens", "file"] = "tokens"
    engine: str = ""

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, each followed by its standard errors."""
        return tuple(column for own in self.own for column in own.with_errors())


METRIC_FAMILIES: Registry[Family] = Registry("metric family", f"{__name__}.families")


def metric_families() -> list[Family]:
    """Return all families, by position."""
    return sorted((family for _, family in METRIC_FAMILIES), key=lambda family: family.position)


def quantities() -> dict[str, Quantity]:
    """Return all quantities of a token, by name."""
    return {name: quantity for family in metric_families() for name, quantity in family.quantities.items()}


@cache
def columns_of(*over: str) -> Mapping[str, Column]:
    """Return the columns by name of the families whose `over` is given, of all families if none is."""
    families = [family for family in metric_families() if not over or family.over in over]
    return {item.name: item for family in families for item in family.columns}


@dataclass(frozen=True)
class TokenScores:
    """A variant's scores per token, without non-finite tokens: float64 [n] each, windows int [n].

    The comparisons with a baseline are None for the baseline itself. `domains`, string [n], is None if the tokens
    were selected by domain.
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
        """The baseline's top probability at each token; for a baseline its own."""
        return self.top_prob if self.baseline_top_prob is None else self.baseline_top_prob

    def subset(self, kept: npt.NDArray[np.bool_]) -> TokenScores:
        """Return the tokens where `kept`, bool [n], is true."""
        arrays = [item.name for item in fields(self) if isinstance(getattr(self, item.name), np.ndarray)]
        return replace(self, **{name: getattr(self, name)[kept] for name in arrays})


def measure(scores: TokenScores) -> tuple[dict[str, float | int | None], list[str]]:
    """Return all families' columns, and a warning per family that failed or column that is not a number."""
    columns: dict[str, float | int | None] = {}
    warnings: list[str] = []
    for name, family in METRIC_FAMILIES:
        if family.measure is None:
            continue
        try:
            values = dict(family.measure(scores))
        except Exception as error:  # a faulty statistic must not lose the measured tokens
            warnings.append(f"metric family {name} failed: {type(error).__name__}: {error}")
            continue
        for column, value in values.items():
            reason = "is another family's column" if column in columns else _unusable(value)
            if reason:
                warnings.append(f"metric family {name}: {column} {reason}")
            columns.setdefault(column, None if reason else value)
    return columns, warnings


def _unusable(value: object) -> str | None:
    """Return why a value cannot be stored in a column of numbers; None if it can."""
    if value is None or (isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)):
        return None
    return f"is {repr(value)[:60]}, not a finite number"
