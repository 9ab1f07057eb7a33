"""Methods at equal file size."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard import formats
from dashboard.charts import Row, by_method, complete
from dashboard.insights import Insight
from dashboard.insights.comparison import ONE_METHOD, SIZE, common_range, rank, standing
from dashboard.results import Results
from dashboard.selection import Selection


def equal_size(results: Results, selection: Selection, rows: Sequence[Row]) -> Insight:
    """Tell which method loses least at the size in the middle of those that all cover."""
    groups = by_method(complete(rows, "ln_ppl_ratio"))
    if len(groups) < 2:
        return ONE_METHOD
    shared = common_range(groups, SIZE)
    where = sum(shared) / 2 if shared is not None else 0.0
    ranking = rank(results, selection, rows, where, along=SIZE)
    if ranking is None:
        return Insight("The methods share no range of file sizes: they cannot be compared.", "unknown")
    text = f"At equal size, {formats.size(where)}, {standing(ranking)}."
    kind = "finding" if ranking.behind else ranking.undecided
    return Insight(text, kind, "interpolated in size, paired, 95 %")
