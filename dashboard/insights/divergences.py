"""Bound the mean KL divergence at 7.5 bits and up."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.insights import Insight
from dashboard.insights.comparison import divergence
from dashboard.results.rows import Row
from dashboard.style import formats

_EIGHT = 7.5


def at_eight(rows: Sequence[Row]) -> Insight | None:
    """Bound the mean KLD at 7.5 bits and up; None without such a variant."""
    high = [divergence(row) for row in rows if row["bits_per_weight"] >= _EIGHT]
    if not high:
        return None
    known = all(kld.has_error for kld in high)
    most = max(kld.high if known else kld.value for kld in high)
    text = f"At 7.5 bits and up the mean KLD is at most {formats.number(max(0.0, most))} nats"
    if not known:
        return Insight(f"{text}, but an error was not measured.", "unknown", f"variants: {len(high)}")
    return Insight(f"{text}.", "finding", f"95 % bound, variants: {len(high)}")
