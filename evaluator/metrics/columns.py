"""What a column of the variants frame is: its name on the screen, its unit, which direction is better, its error.

A metric family lists its columns; the schema of the frames, the dashboard's tables and charts, exports and the docs
read them from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

#: How a value is written: a share as per cent, bytes as a size, `points` are percentage points.
Unit = Literal["", "nats", "share", "points", "bits", "bytes", "ms", "s", "tokens/s", "1/MB", "count"]


@dataclass(frozen=True)
class Score:
    """How a column becomes a score from 0 to 1, an axis of the radar and of the parallel coordinates.

    Attributes:
        axis: name of the axis.
        rule: `exp` is exp(−value), at most 1; `share` is the value itself; `best` is the ratio to the best value
            measured in the folder.
    """

    axis: str
    rule: Literal["exp", "share", "best"]


@dataclass(frozen=True)
class Column:
    """One column and all that others must know of it.

    Attributes:
        name: the column.
        label: its name on the screen.
        unit: unit of its values.
        better: which direction is better; None where neither is.
        error: the column of its standard error, if it has one.
        clustered: whether `error` with `_clustered` behind it holds the error clustered by window.
        tokens: what tokens hold of it: their mean is the column (its exp for the perplexity), so that two variants
            can be compared token by token. None where tokens do not add up to it.
        low: smallest possible value.
        high: largest possible value.
        whole: whether it holds whole numbers.
        required: whether every variant has it.
        main: whether a table shows it before anybody asks for all columns.
        score: how it becomes an axis of the radar.
    """

    name: str
    label: str
    unit: Unit = ""
    better: Literal["lower", "higher"] | None = None
    error: str | None = None
    clustered: bool = False
    tokens: str | None = None
    low: float | None = None
    high: float | None = None
    whole: bool = False
    required: bool = False
    main: bool = False
    score: Score | None = None

    def with_errors(self) -> Iterator[Column]:
        """The column, and the columns of its standard errors."""
        yield self
        if self.error:
            yield Column(self.error, f"{self.label}, standard error", self.unit, low=0)
            if self.clustered:
                name = f"{self.error}_clustered"
                yield Column(name, f"{self.label}, standard error by window", self.unit, low=0)


def percentile_column(prefix: str, permille: int) -> str:
    """Name of a percentile column: `percentile_column("kld", 999)` is `kld_p999`."""
    return f"{prefix}_p{permille:03d}"


def percentile_columns(
    prefix: str, label: str, unit: Unit, permilles: Sequence[int], main: Sequence[int] = ()
) -> tuple[Column, ...]:
    """Columns of the percentiles of a quantity, those of `main` shown first."""
    return tuple(
        Column(percentile_column(prefix, p), f"{label}, {p / 10:g} %", unit, main=p in main)
        for p in permilles
    )
