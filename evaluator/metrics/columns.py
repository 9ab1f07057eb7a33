"""Descriptions of the variants frame's columns: name on the screen, unit, better direction, standard error.

The metric families list them. The schema of the frames, the dashboard's tables and charts, the exports and the docs
are derived from these lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

#: How a value is formatted: `share` as per cent, `bytes` as a size; `points` are percentage points.
Unit = Literal["", "nats", "share", "points", "bits", "bytes", "ms", "s", "tokens/s", "1/MB", "count"]


@dataclass(frozen=True)
class Score:
    """How a column is turned into a score from 0 to 1, an axis of the radar and of the parallel coordinates.

    Attributes:
        axis: name of the axis.
        rule: `exp` is exp(−value), at most 1; `share` is the value, or 1 − value if lower is better; `best` is the
            ratio to the best value in the folder.
        reference: what 100 % means. For `best` it names the best value, which follows it.
        shown: column whose value is shown beside the score, if it is another one.
        short: name before that value, if the value needs one.
        unless: column that tells nearly the same better: where it is measured, this one is no axis.
    """

    axis: str
    rule: Literal["exp", "share", "best"]
    reference: str
    shown: str = ""
    short: str = ""
    unless: str = ""


@dataclass(frozen=True)
class Column:
    """The description of one column.

    Attributes:
        name: name of the column.
        label: name on the screen.
        meaning: what it is, as a sentence without a full stop.
        unit: unit of the values.
        better: the better direction; None if neither is.
        error: column of the standard error, if there is one.
        clustered: whether the column `error` + `_clustered` holds the standard error clustered by window.
        tokens: quantity of a token (see `Family.quantities`) whose mean is the column, so that two variants can be
            compared token by token. None if the column is no mean over tokens.
        exponential: whether the column is exp of that mean, like the perplexity.
        low: smallest possible value.
        high: largest possible value.
        whole: whether the values are whole numbers.
        required: whether every variant has it.
        main: whether tables show it by default.
        score: how it becomes an axis of the radar.
        run: what it measures of a run in its family's engine, such as `decode_ms_p50`: named alike for all engines.
    """

    name: str
    label: str
    meaning: str
    unit: Unit = ""
    better: Literal["lower", "higher"] | None = None
    error: str | None = None
    clustered: bool = False
    tokens: str | None = None
    exponential: bool = False
    low: float | None = None
    high: float | None = None
    whole: bool = False
    required: bool = False
    main: bool = False
    score: Score | None = None
    run: str = ""

    def with_errors(self) -> Iterator[Column]:
        """Yield the column and the columns of its standard errors."""
        yield self
        if self.error:
            meaning = f"standard error of `{self.name}`, tokens taken as independent"
            yield Column(self.error, f"{self.label}, standard error", meaning, self.unit, low=0)
            if self.clustered:
                name = f"{self.error}_clustered"
                meaning = f"standard error of `{self.name}`, clustered by window"
                yield Column(name, f"{self.label}, standard error by window", meaning, self.unit, low=0)


def percentile_column(prefix: str, permille: int) -> str:
    """Return the name of a percentile column: `percentile_column("kld", 999)` is `kld_p999`."""
    return f"{prefix}_p{permille:03d}"


def percentile_columns(
    prefix: str,
    label: str,
    unit: Unit,
    permilles: Sequence[int],
    main: Sequence[int] = (),
    scores: Mapping[int, Score] = MappingProxyType({}),
) -> tuple[Column, ...]:
    """Return the columns of a quantity's percentiles; tables show those in `main` by default.

    Those with a score, by permille, are better if they are lower.
    """
    return tuple(
        Column(
            percentile_column(prefix, p),
            f"{label} p{p / 10:g}",
            f"the {label} that {p / 10:g} % of tokens stay below",
            unit,
            better="lower" if p in scores else None,
            main=p in main,
            score=scores.get(p),
        )
        for p in permilles
    )
