"""What the packed artifact adds to the loss of the file's weights, measured by a stage of its own."""

from __future__ import annotations

from evaluator.metrics import METRIC_FAMILIES, Family
from evaluator.metrics.columns import Column

METRIC_FAMILIES.add(
    "engine_gap",
    Family(
        "Packed artifact",
        10,
        (
            Column(
                "deploy_kld_mean",
                "KLD that packing for speed adds",
                "what packing into ONNX, the form that is timed, adds to the file's own loss (`kld_mean`): "
                "KL divergence of the packed artifact from the file's exact weights, over a few windows",
                "nats",
                better="lower",
                main=True,
            ),
        ),
        over="all tokens",
    ),
)
