"""Compute weighted differences between variants over the same tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dashboard.results.selection import TokenFilter
from dashboard.results.statistics import Estimate, clustered_mean
from dashboard.results.token_parts import TokenParts

#: A variant's tokens, one of their columns, and its weight in the sum.
Term = tuple[TokenParts, str, float]


def contrast(terms: Sequence[Term], wanted: TokenFilter) -> Estimate | None:
    """Return the weighted sum of variants' means of columns over the tokens that pass `wanted`.

    The error is clustered by window. None if the variants were scored on different tokens, or one lacks its column.
    """
    if len({item.fingerprint for item, _, _ in terms}) != 1:
        return None
    total: dict[int, float] = {}
    tokens: dict[int, float] = {}
    seen: dict[int, int] = {}
    for item, column, weight in terms:
        means = item.window_means(column, wanted)
        if means is None:
            return None
        for window, mean, n in zip(*(values.tolist() for values in means), strict=True):
            total[window] = total.get(window, 0.0) + weight * mean
            tokens[window] = min(tokens.get(window, n), n)
            seen[window] = seen.get(window, 0) + 1
    shared = sorted(window for window, times in seen.items() if times == len(terms))
    values = np.array([total[window] for window in shared], dtype=np.float64)
    return clustered_mean(values, np.array([tokens[window] for window in shared], dtype=np.float64))
