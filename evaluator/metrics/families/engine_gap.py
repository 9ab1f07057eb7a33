"""What the packed artifact adds to the loss of the file's weights, measured by a stage of its own."""

from __future__ import annotations

from evaluator.metrics import METRIC_FAMILIES, Family
from evaluator.metrics.columns import Column

METRIC_FAMILIES.add(
    "engine_gap",
    Family(
        "Packed artifact",
        10,
        (Column("deploy_kld_mean", "KLD that packing adds", "nats", better="lower", main=True),),
        over="all tokens",
    ),
)
