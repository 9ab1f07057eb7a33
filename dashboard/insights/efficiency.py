"""Say what files cost in size for their quality: 1/PPL per MB, with and without a quality floor, and compression."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.insights import Insight
from dashboard.insights.bands import beaten_by_smaller
from dashboard.insights.recommender import EVERYDAY, within
from dashboard.results.rows import Row, complete
from dashboard.results.scope import Scope
from dashboard.style import formats
from dashboard.style.columns import EFFICIENCY_SCALE

#: From this factor a file is written as so many times smaller, below it as so many per cent.
_FACTOR = 1.1
_WHOLE_PERCENT = 0.01


def efficiency(row: Row) -> str:
    """Write 1/PPL/MB with its unit."""
    return f"1/PPL per MB = {formats.number(EFFICIENCY_SCALE * row['inv_ppl_per_mb'])} × 10⁻⁵"


def highest(rows: Sequence[Row]) -> Insight | None:
    """Name the file with the highest 1/PPL per MB; None for a single file."""
    if len(rows) < 2:
        return None
    best = max(rows, key=lambda row: (row["inv_ppl_per_mb"], row["variant_id"]))
    smallest = min(rows, key=lambda row: row["size_bytes"])
    text = f"{best['label']} has the highest {efficiency(best)}."
    if best is smallest:
        return Insight(
            text,
            "caution",
            "it is the smallest file, which this ratio nearly always favours without a quality floor",
        )
    return Insight(text, "finding", "MB = 10⁶ bytes; 3.2 × 10⁻⁵ is a perplexity of 12 at 2.6 GB")


def above_floor(rows: Sequence[Row]) -> Insight:
    """Name the file with the highest 1/PPL per MB of those above the quality floor."""
    good = within(complete(rows, "ln_ppl_ratio"), EVERYDAY)
    floor = f"quality floor: perplexity within {formats.percent(EVERYDAY, 0)} of the baseline (95 % bound)"
    if not good:
        return Insight("No file is above the quality floor.", "caution", floor)
    best = max(good, key=lambda row: (row["inv_ppl_per_mb"], row["variant_id"]))
    leads = "is the most efficient" if len(good) > 1 else "is the only one"
    text = f"Above the quality floor {best['label']} {leads}: {efficiency(best)}."
    return Insight(text, "finding", floor)


def wasted(scope: Scope, rows: Sequence[Row]) -> Insight | None:
    """Name files that a smaller one beats in KLD by more than the error; None for a single file."""
    compared = complete(rows, "kld_mean")
    if len(compared) < 2:
        return None
    pairs = beaten_by_smaller(scope, compared, compared)
    if not pairs:
        return Insight(
            "No file is beaten by a smaller one by more than the error.", "finding", "by mean KLD, paired"
        )
    beaten = [f"{row['label']} (by {best['label']})" for row, best in pairs]
    text = f"Beaten by a smaller file: {formats.listing(beaten, 3)}."
    return Insight(
        text,
        "caution",
        f"{len(beaten)} of {len(compared)} files; by mean KLD, paired, 95 % for all files together",
    )


def compression(scope: Scope, rows: Sequence[Row]) -> Insight:
    """Say how much smaller than the baseline the smallest file is."""
    smallest = min(rows, key=lambda row: (row["size_bytes"], row["variant_id"]))
    base = int(scope.baseline_of(smallest)["size_bytes"])
    how = _smaller(base, smallest["size_bytes"])
    name = f"The smallest file, {smallest['label']}," if len(rows) > 1 else smallest["label"]
    text = f"{name} is {how} than the baseline."
    return Insight(text, "finding", f"{formats.size(smallest['size_bytes'])} against {formats.size(base)}")


def _smaller(base: float, size: float) -> str:
    """Write how much smaller `size` is: as a factor, or in per cent if the factor is near 1."""
    if size >= base:
        return "no smaller"
    if base / size >= _FACTOR:
        return f"{formats.number(base / size, 2)} × smaller"
    share = 1 - size / base
    return f"{formats.percent(share, 0 if share >= _WHOLE_PERCENT else 2)} smaller"
