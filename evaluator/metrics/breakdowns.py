"""Compute the metric families on subsets of the tokens: per domain, and per bin of the baseline's confidence."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from evaluator.metrics import Floats, TokenScores, measure
from evaluator.metrics.estimation import clustered_standard_error

Row = dict[str, object]
#: Edges of the bins of the top probability; a bin includes its lower edge, the last bin both edges.
CONFIDENCE_EDGES = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)


def by_domain(variant_id: str, scores: TokenScores) -> list[Row]:
    """Return the rows of the `Domains` frame, ordered by name; none if the scores have no domains."""
    if scores.domains is None:
        return []
    return [
        {"variant_id": variant_id, "domain": str(domain), **_part(scores, scores.domains == domain)}
        for domain in np.unique(scores.domains)
    ]


def by_confidence(variant_id: str, scores: TokenScores) -> list[Row]:
    """Return the rows of the `Confidence` frame, in order of bins; none without tokens."""
    if not len(scores.top_prob):
        return []
    own = confidence_bins(scores.top_prob)
    bins = confidence_bins(scores.reference_top_prob)
    rows: list[Row] = []
    for index, (low, high) in enumerate(pairwise(CONFIDENCE_EDGES)):
        inside = (own == index).astype(np.float64)
        share = {
            "share": float(inside.mean()),
            "share_se": clustered_standard_error(inside, scores.windows),
        }
        key = {"variant_id": variant_id, "bin": index, "low": low, "high": high}
        rows.append({**key, **share, **_part(scores, bins == index)})
    return rows


def confidence_bins(probabilities: Floats) -> npt.NDArray[np.int64]:
    """Return the bin of each probability; the last bin includes values that rounding puts slightly above 1."""
    return np.digitize(probabilities, CONFIDENCE_EDGES[1:-1])


def _part(scores: TokenScores, kept: npt.NDArray[np.bool_]) -> Row:
    """Return the families' columns for the tokens in `kept`; warnings were reported for the whole variant."""
    part = replace(scores.subset(kept), domains=None)
    columns, _ = measure(part)
    return {"n_windows": len(np.unique(part.windows)), "n_tokens": len(part.nll), **columns}
