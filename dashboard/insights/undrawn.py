"""Name the selected variants that a view does not draw, and why."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.insights import Insight
from dashboard.results.rows import Row
from dashboard.style import formats


def undrawn(passing: Sequence[Row], drawn: Sequence[Row], why: str) -> list[Insight]:
    """Name the selected variants that are not drawn; empty if all are."""
    ids = {row["variant_id"] for row in drawn}
    missing = [str(row["label"]) for row in passing if row["variant_id"] not in ids]
    if not missing:
        return []
    verb = "is" if len(missing) == 1 else "are"
    return [Insight(f"{formats.listing(missing)} {verb} not drawn: {why}.", "caution")]
