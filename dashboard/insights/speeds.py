"""Methods at equal speed, where times scatter more than the differences that they decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from dashboard.insights.comparison import Ranking, common_range, rank_mixtures
from dashboard.results.rows import Row, by_method, complete
from dashboard.results.scope import Scope

TIME = "decode_ms_p50"


@dataclass(frozen=True)
class EqualSpeed:
    """What each method offers within `limit` ms per token, ranked by mean KLD.

    `chosen` is each method's closest variant within the limit. `ranking` is of those; `others` are the rankings
    with the limit a `spread` (half the usual p10–p90 range, ms) lower and higher.
    """

    limit: float
    spread: float
    chosen: dict[str, Row]
    ranking: Ranking
    others: tuple[Ranking, ...]

    @property
    def steady(self) -> bool:
        """Whether the best method stays the best, alone or not, when the limit moves by the spread."""
        return len(self.others) == 2 and all(
            other.best == self.ranking.best and bool(other.tied) == bool(self.ranking.tied)
            for other in self.others
        )


def equal_speed(scope: Scope, rows: Sequence[Row]) -> EqualSpeed | None:
    """Compare methods in the middle of the decode times that all cover; None without two timed methods."""
    groups = by_method(complete(rows, TIME, "kld_mean"))
    shared = common_range(groups, TIME) if len(groups) > 1 else None
    if shared is None:
        return None
    limit = sum(shared) / 2
    ranges = complete([row for group in groups.values() for row in group], "decode_ms_p10", "decode_ms_p90")
    spread = median(row["decode_ms_p90"] - row["decode_ms_p10"] for row in ranges) / 2 if ranges else 0.0
    rankings = []
    for bound in (limit, limit - spread, limit + spread):
        chosen = _within(groups, bound)
        mixtures = {method: {str(row["variant_id"]): 1.0} for method, row in chosen.items()}
        rankings.append(rank_mixtures(scope, rows, mixtures, "kld"))
    if rankings[0] is None:
        return None
    others = tuple(ranking for ranking in rankings[1:] if ranking is not None)
    return EqualSpeed(limit, spread, _within(groups, limit), rankings[0], others)


def _within(groups: dict[str, list[Row]], bound: float) -> dict[str, Row]:
    """Each method's variant closest to the baseline among those that decode within `bound` ms per token."""
    fast = {method: [row for row in group if row[TIME] <= bound] for method, group in groups.items()}
    return {m: min(group, key=lambda row: row["kld_mean"]) for m, group in fast.items() if group}
