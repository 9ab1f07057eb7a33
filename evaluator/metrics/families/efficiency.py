"""Quality per size."""

from __future__ import annotations

import math

from evaluator.metrics import METRIC_FAMILIES, Columns, Family, TokenScores
from evaluator.metrics.columns import Column
from evaluator.support.units import MEGABYTE


def efficiency(scores: TokenScores) -> Columns:
    """Return 1 / PPL / MB of the file that users download, MB = 10⁶ bytes."""
    if not len(scores.nll):
        return {}
    return {"inv_ppl_per_mb": math.exp(-scores.nll.mean()) / (scores.size_bytes / MEGABYTE)}


METRIC_FAMILIES.add(
    "efficiency",
    Family(
        "Efficiency",
        7,
        (
            Column(
                "inv_ppl_per_mb",
                "1/PPL per MB",
                "1 / perplexity / size of the file in MB (10⁶ bytes)",
                "1/MB",
                better="higher",
                low=0,
                main=True,
            ),
        ),
        efficiency,
    ),
)
