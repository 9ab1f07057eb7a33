"""Format the values of a column by its unit, the same way on every page."""

from __future__ import annotations

import math

from dashboard.style import formats
from evaluator.metrics.columns import Column

#: 1/PPL per MB is written × 10⁻⁵: 3.2 means 0.000032.
EFFICIENCY_SCALE = 1e5
#: The share of 1 that `ln_ppl_ratio` is the negative logarithm of.
PPL_SHARE = "PPL of the baseline / PPL"
#: Units whose values carry their unit in table cells too.
WRITTEN_OUT = ("share", "bytes", "count")
#: Significant digits at the points of a chart.
_SHORT = 2
_DIRECTIONS = {"lower": "lower is better", "higher": "higher is better"}
_NAMES = {"ms": "ms per token", "share": "a share of 1", "points": "percentage points", "": "", "count": ""}


def value(column: Column, measured: float, spread: str = "") -> str:
    """Write a value with its unit for a sentence; `spread`, such as ` ± 0.1`, follows the number."""
    if column.unit == "bits":
        return formats.bits(measured)
    if column.unit == "points":
        signed = column.low is not None and column.low < 0
        return f"{formats.signed(measured, 2) if signed else formats.number(measured)}{spread} points"
    if column.unit == "1/MB":
        return f"{formats.number(EFFICIENCY_SCALE * measured)} × 10⁻⁵"
    unit = "" if column.unit in WRITTEN_OUT else _unit(column)
    return f"{cell(column, measured)}{spread} {unit}".rstrip()


def short(column: Column, measured: float) -> str:
    """Write a short form of a value, for the points of a chart."""
    if column.unit == "nats":
        return formats.number(measured, _SHORT)
    return f"{formats.number(measured)} ms" if column.unit == "ms" else value(column, measured)


def cell(column: Column, measured: float, places: int = 1) -> str:
    """Write a value for a table cell whose heading names the unit; shares are per cent with `places` decimals."""
    if column.unit == "share":
        return formats.percent(measured, places)
    if column.unit == "bytes":
        return formats.size(measured)
    if column.unit == "count":
        return formats.count(int(measured))
    return formats.number(measured, 3 if column.unit else 4)


def difference(column: Column, change: float, half: float = math.inf) -> str:
    """Write the difference of two variants, with ± `half` (half its 95 % interval) if that is known.

    For a column that is the exponential of a mean, `change` is the difference of the means.
    """
    if column.exponential:
        return formats.percent_change(change, 1 if math.isfinite(half) else 2, half)
    points = column.unit in {"share", "points"}
    unit, scale = ("points", 100 if column.unit == "share" else 1) if points else (_unit(column), 1)
    if math.isfinite(half) and half > 0:
        return f"{formats.with_error(scale * change, scale * half, plus=True)} {unit}".rstrip()
    return f"{formats.signed(scale * change, 2 if points else 3)} {unit}".rstrip()


def tooltip(column: Column) -> str:
    """Describe a column: its name in the frames, its meaning, its unit and which direction is better."""
    better = _DIRECTIONS.get(column.better or "", "")
    meaning = column.meaning.replace("`", "")
    return ", ".join(filter(None, [f"{column.name}: {meaning}", _unit(column), better]))


def _unit(column: Column) -> str:
    return _NAMES.get(column.unit, column.unit)
