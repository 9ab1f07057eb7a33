"""Name how large a mean KLD is, in three bands, and say below which one files count as equivalent.

The edges are round numbers near published values: in llama.cpp's own table for LLaMA 3 8B, Q5_K_M has 0.011 nats and
Q3_K_M 0.084 to 0.102. Under the lower one, scores of tasks are not predicted by the KLD; see docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.insights.comparison import divergence
from dashboard.results.rows import Row

#: Mean KLD in nats under which files are equivalent for most uses, and from which many tokens change.
EQUIVALENT, MANY = 0.01, 0.1
#: Published files near the edges.
LANDMARKS = "for LLaMA 3 8B the edges are about Q5_K_M and Q3_K_M"


@dataclass(frozen=True)
class Level:
    """A band of mean KLD from `low` to `high`, in nats per token."""

    name: str
    low: float
    high: float


LEVELS = (
    Level("equivalent for most uses", 0.0, EQUIVALENT),
    Level("some tokens change", EQUIVALENT, MANY),
    Level("many tokens change", MANY, math.inf),
)


def equivalent(rows: Sequence[Row]) -> bool:
    """Return whether every file's mean KLD is under `EQUIVALENT` at its 95 % upper bound."""
    return bool(rows) and all(row["kld_mean"] is not None and _upper(row) < EQUIVALENT for row in rows)


def _upper(row: Row) -> float:
    estimate = divergence(row)
    return estimate.high if estimate.has_error else math.inf
