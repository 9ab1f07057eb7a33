"""Say what files cost in size for their quality: 1/PPL per MB, with and without a quality floor, and compression."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dashboard.insights import Insight
from dashboard.insights.bands import beaten_by_smaller
from dashboard.insights.comparison import Ranking, gap, tie
from dashboard.insights.recommender import EVERYDAY, within
from dashboard.results.rows import SAME_BYTES, Row, complete
from dashboard.results.scope import Scope
from dashboard.results.statistics import Estimate
from dashboard.style import formats
from dashboard.style.columns import EFFICIENCY_SCALE

#: From this factor a file is written as so many times smaller, below it as so many per cent.
_FACTOR = 1.1
_WHOLE_PERCENT = 0.01
#: Most files compared token by token, at a millisecond each: the best by their stored values.
_MOST_RANKED = 48


def efficiency(row: Row) -> str:
    """Write 1/PPL/MB with its unit."""
    return f"1/PPL per MB = {_value(row)}"


def _value(row: Row) -> str:
    return f"{formats.number(EFFICIENCY_SCALE * row['inv_ppl_per_mb'])} × 10⁻⁵"


def rank_efficiency(scope: Scope, rows: Sequence[Row]) -> Ranking:
    """Rank files, by label, by ln PPL + ln size, the lower the better; gaps are in nats, paired over the same tokens.

    Sizes have no error; a difference within `SAME_BYTES`, that of headers, does not count. `rows` are not empty and
    have a 1/PPL per MB above 0. Of very many only the best by it are ranked.
    """
    ordered = sorted(rows, key=lambda row: (-row["inv_ppl_per_mb"], row["variant_id"]))[:_MOST_RANKED]
    best, *others = ordered
    values = {str(row["label"]): Estimate(-math.log(row["inv_ppl_per_mb"]), math.inf) for row in ordered}
    gaps = {}
    for row in others:
        paired = gap(scope, row, best)
        larger = math.log(row["size_bytes"] / best["size_bytes"])
        behind = values[str(row["label"])].value - values[str(best["label"])].value
        gaps[str(row["label"])] = (
            Estimate(behind, math.inf)
            if paired is None
            else Estimate(paired.value + larger, paired.se, paired.freedom)
        )
    return Ranking(values, gaps, math.log1p(SAME_BYTES))


def highest(scope: Scope, rows: Sequence[Row]) -> Insight | None:
    """Name the file with the highest 1/PPL per MB, or those tied for it; None for a single file."""
    if len(rows) < 2:
        return None
    ranking = rank_efficiency(scope, rows)
    first = _first(ranking, rows)
    if ranking.tied:
        text = f"At the top by 1/PPL per MB, {tie(ranking)}: {_value(first[0])}."
    else:
        text = f"{ranking.best} has the highest {efficiency(first[0])}."
    kind = ranking.undecided if ranking.tied else "finding"
    smallest = min(rows, key=lambda row: (row["size_bytes"], row["variant_id"]))
    if smallest not in first:
        return Insight(text, kind, "MB = 10⁶ bytes; 3.2 × 10⁻⁵ is a perplexity of 12 at 2.6 GB")
    which = "the smallest file is among them" if ranking.tied else "it is the smallest file"
    nearly = f"{which}, which this ratio nearly always favours without a quality floor"
    return Insight(text, kind if ranking.tied else "caution", nearly)


def above_floor(scope: Scope, rows: Sequence[Row]) -> Insight:
    """Name the file with the highest 1/PPL per MB of those above the quality floor, or those tied for it."""
    good = within(complete(rows, "ln_ppl_ratio"), EVERYDAY)
    floor = f"quality floor: perplexity within {formats.percent(EVERYDAY, 0)} of the baseline (95 % bound)"
    if not good:
        return Insight("No file is above the quality floor.", "caution", floor)
    ranking = rank_efficiency(scope, good)
    best = _first(ranking, good)[0]
    if ranking.tied:
        text = f"Above the quality floor, by 1/PPL per MB, {tie(ranking)}: {_value(best)}."
        return Insight(text, ranking.undecided, floor)
    leads = "is the most efficient" if len(good) > 1 else "is the only one"
    text = f"Above the quality floor {ranking.best} {leads}: {efficiency(best)}."
    return Insight(text, "finding", floor)


def most_efficient(scope: Scope, rows: Sequence[Row]) -> list[Row]:
    """Return the file with the highest 1/PPL per MB, and those that are not measurably behind it."""
    return _first(rank_efficiency(scope, rows), rows)


def _first(ranking: Ranking, rows: Sequence[Row]) -> list[Row]:
    of = {str(row["label"]): row for row in rows}
    return [of[label] for label in (ranking.best, *ranking.tied)]


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
