"""How well the losses of single matrices add up, measured by a stage of its own."""

from __future__ import annotations

from evaluator.metrics import METRIC_FAMILIES, Family
from evaluator.metrics.columns import Column

METRIC_FAMILIES.add(
    "attribution",
    Family(
        "Attribution",
        11,
        (
            Column(
                "attribution_additivity",
                "Attributed losses / whole loss",
                "sum of the KLD that each matrix causes alone, over that of the whole variant on the same tokens",
            ),
        ),
        over="all tokens",
    ),
)
