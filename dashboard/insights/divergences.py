"""What is lost by mean KL divergence: at equal bits, and at 7.5 bits and up."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard import formats
from dashboard.charts import Row, by_method
from dashboard.insights import Insight
from dashboard.insights.comparison import ONE_METHOD, divergence, meeting_point, nats, rank, tie
from dashboard.results import Results
from dashboard.selection import Selection

_EIGHT = 7.5


def equal_bits(results: Results, selection: Selection, rows: Sequence[Row]) -> Insight:
    """Tell which method diverges least at the lowest bits that all cover, and who is tied with it."""
    if len(by_method(rows)) < 2:
        return ONE_METHOD
    where = meeting_point(rows, "lowest")
    ranking = rank(results, selection, rows, where, "kld") if where is not None else None
    if where is None or ranking is None:
        return Insight("The methods share no range of bits per weight: they cannot be compared.", "unknown")
    detail = "; ".join(f"{method} {nats(value)}" for method, value in ranking.values.items())
    detail = f"mean KLD: {detail}; interpolated, paired, 95 %"
    place = f"At {formats.bits(where)}, the lowest all cover,"
    if not ranking.behind:
        return Insight(f"{place} {tie(ranking)}.", ranking.undecided, detail)
    parts = [f"{nats(behind)} less than {method}" for method, behind in ranking.behind.items()]
    tied = f"; {tie(ranking)}" if ranking.tied else ""
    return Insight(f"{place} {ranking.best} diverges by {formats.listing(parts)}{tied}.", "finding", detail)


def at_eight(rows: Sequence[Row]) -> Insight | None:
    """Bound the mean KLD at 7.5 bits and up; None where nothing is that large."""
    high = [divergence(row) for row in rows if row["bits_per_weight"] >= _EIGHT]
    if not high:
        return None
    known = all(kld.has_error for kld in high)
    most = max(kld.high if known else kld.value for kld in high)
    text = f"At 7.5 bits and up the mean KLD is at most {formats.number(max(0.0, most))} nats"
    if not known:
        return Insight(f"{text}, but an error was not measured.", "unknown", f"variants: {len(high)}")
    return Insight(f"{text}.", "finding", f"95 % bound, variants: {len(high)}")
