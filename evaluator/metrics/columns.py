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
        rule: `exp` is exp(−value), at most 1; `share` is the value itself, or what is missing to 1 where lower is
            better; `best` is the ratio to the best value measured in the folder.
        reference: what 100 % is. For `best` it names the best value, which is written behind it.
        shown: the column whose value is written beside the score, if it is another one.
        short: name before that value, where the value alone does not tell.
    """

    axis: str
    rule: Literal["exp", "share", "best"]
    reference: str
    shown: str = ""
    short: str = ""


@dataclass(frozen=True)
class Column:
    """One column and all that others must know of it.

    Attributes:
        name: the column.
        label: its name on the screen.
        meaning: what it is, in a sentence without its full stop.
        unit: unit of its values.
        better: which direction is better; None where neither is.
        error: the column of its standard error, if it has one.
        clustered: whether `error` with `_clustered` behind it holds the error clustered by window.
        tokens: the family's quantity of a token (see `Family.quantities`) whose mean is the column, so that two
            variants can be compared token by token. None where tokens do not add up to it.
        exponential: whether the column is exp of that mean, as the perplexity is.
        low: smallest possible value.
        high: largest possible value.
        whole: whether it holds whole numbers.
        required: whether every variant has it.
        main: whether a table shows it before anybody asks for all columns.
        score: how it becomes an axis of the radar.
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

    def with_errors(self) -> Iterator[Column]:
        """The column, and the columns of its standard errors."""
        yield self
        if self.error:
            meaning = f"standard error of `{self.name}`, tokens taken as independent"
            yield Column(self.error, f"{self.label}, standard error", meaning, self.unit, low=0)
            if self.clustered:
                name = f"{self.error}_clustered"
                meaning = f"standard error of `{self.name}`, clustered by window"
                yield Column(name, f"{self.label}, standard error by window", meaning, self.unit, low=0)


def percentile_column(prefix: str, permille: int) -> str:
    """Name of a percentile column: `percentile_column("kld", 999)` is `kld_p999`."""
    return f"{prefix}_p{permille:03d}"


def percentile_columns(
    prefix: str, label: str, unit: Unit, permilles: Sequence[int], main: Sequence[int] = ()
) -> tuple[Column, ...]:
    """Columns of the percentiles of a quantity, those of `main` shown first."""
    return tuple(
        Column(
            percentile_column(prefix, p),
            f"{label} p{p / 10:g}",
            f"the {label} that {p / 10:g} % of tokens stay below",
            unit,
            main=p in main,
        )
        for p in permilles
    )
