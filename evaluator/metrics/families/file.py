"""The file itself: what users download."""

from __future__ import annotations

from evaluator.metrics import METRIC_FAMILIES, Family
from evaluator.metrics.columns import Column, Score

METRIC_FAMILIES.add(
    "file",
    Family(
        "File",
        0,
        (
            Column("n_params", "Parameters", "count", low=1, whole=True, required=True),
            Column(
                "size_bytes",
                "File size",
                "bytes",
                better="lower",
                low=1,
                whole=True,
                required=True,
                main=True,
                score=Score("small size", "best"),
            ),
            Column(
                "bits_per_weight", "Bits per weight", "bits", better="lower", low=0, required=True, main=True
            ),
            Column("n_tokens", "Scored tokens", "count", low=0, whole=True, required=True),
            Column("n_nonfinite", "Tokens without a finite value", "count", low=0, whole=True, required=True),
        ),
        over="file",
    ),
)
