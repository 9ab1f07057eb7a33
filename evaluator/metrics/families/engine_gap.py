"""The loss that the packed artifact adds to that of the file's weights; measured by its own stage of a run."""

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
                "loss that packing into ONNX, the form that is timed, adds to the file's own (`kld_mean`): "
                "KL divergence of the packed artifact from the file's exact weights, over a few windows",
                "nats",
                better="lower",
                main=True,
                run="kld_added",
            ),
        ),
        over="all tokens",
        engine="onnxruntime",
    ),
)
