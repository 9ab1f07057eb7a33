"""Quality per size."""

from __future__ import annotations

import math

from evaluator.metrics import METRIC_FAMILIES, Columns, TokenScores
from evaluator.support.units import MEGABYTE


@METRIC_FAMILIES.register("efficiency")
def efficiency(scores: TokenScores) -> Columns:
    """1 / PPL / MB of the file that users download, MB = 10⁶ bytes."""
    if not len(scores.nll):
        return {}
    return {"inv_ppl_per_mb": math.exp(-scores.nll.mean()) / (scores.size_bytes / MEGABYTE)}
