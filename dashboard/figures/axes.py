"""Compute ranges and readable ticks of axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from evaluator.support.units import MEGABYTE


def padded(values: Sequence[float], share: float = 0.06, least: float = 0.0) -> list[float]:
    """Return an axis range around `values`, wider on both sides by a share of their span."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    margin = max(share * (high - low), least) or 0.05 * abs(high) or 1.0
    return [low - margin, high + margin]


def bits_range(values: Sequence[float]) -> list[float]:
    """Return the axis range of bits per weight around the points."""
    return padded(values or [2.0, 8.0], least=0.35)


def byte_unit(sizes: Sequence[float]) -> tuple[int, str]:
    """Return the unit for an axis of sizes in bytes: its bytes and its name."""
    if max(sizes, default=0) >= 1000 * MEGABYTE:
        return 1000 * MEGABYTE, "GB"
    return MEGABYTE, "MB"


def decades(low: float, high: float) -> list[float]:
    """Return tick values 1, 2, 5 × 10ⁿ between two positive numbers."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1.0, 2.0, 5.0) if last - first <= 4 else (1.0,)
    ticks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


def log_axis(values: Sequence[float], margin: float = 0.08) -> dict[str, Any]:
    """Return the range and readable ticks of a log axis around positive values."""
    logs = [math.log10(value) for value in values if value > 0 and math.isfinite(value)] or [0.0]
    pad = max(0.03, margin * (max(logs) - min(logs)))
    low, high = min(logs) - pad, max(logs) + pad
    axis: dict[str, Any] = {"type": "log", "range": [low, high]}
    ticks = decades(10**low, 10**high)
    if len(ticks) < 3:
        step = nice_step((10**high - 10**low) / 5)
        first = math.ceil(10**low / step)
        ticks = [step * index for index in range(first, math.floor(10**high / step) + 1)]
    return axis | {"tickvals": ticks, "ticktext": [f"{tick:.12g}" for tick in ticks]}


def nice_step(rough: float) -> float:
    """Return the smallest of 1, 2, 5 × 10ⁿ that is at least `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= rough)


def size_title(sizes: Sequence[float]) -> str:
    """Return the title of an axis of file sizes with its unit."""
    _, name = byte_unit(sizes)
    return f"file size ({name}, 10{'⁹' if name == 'GB' else '⁶'} bytes)"
