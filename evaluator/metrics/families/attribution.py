"""How well the losses of single matrices add up; measured by the attribution stage of a run."""

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
                "sum of the KLDs that each matrix causes alone, divided by the variant's KLD on the same tokens",
            ),
        ),
        over="all tokens",
    ),
)
