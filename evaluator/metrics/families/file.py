"""The file that users download."""

from __future__ import annotations

from evaluator.metrics import METRIC_FAMILIES, Family
from evaluator.metrics.columns import Column, Score

METRIC_FAMILIES.add(
    "file",
    Family(
        "File",
        0,
        (
            Column(
                "n_params", "Parameters", "parameters of the model", "count", low=1, whole=True, required=True
            ),
            Column(
                "size_bytes",
                "File size",
                "size of the file that users download",
                "bytes",
                better="lower",
                low=1,
                whole=True,
                required=True,
                main=True,
                score=Score("file size", "best", "smallest file measured"),
            ),
            Column(
                "bits_per_weight",
                "Bits per weight",
                "bits of all tensors in the file, divided by the number of weights",
                "bits",
                better="lower",
                low=0,
                required=True,
                main=True,
            ),
            Column(
                "n_tokens",
                "Scored tokens",
                "tokens in the statistics",
                "count",
                low=0,
                whole=True,
                required=True,
            ),
            Column(
                "n_nonfinite",
                "Tokens without a finite value",
                "tokens that are excluded because one of their values is not finite",
                "count",
                low=0,
                whole=True,
                required=True,
            ),
        ),
        over="file",
    ),
)
