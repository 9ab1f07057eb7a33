"""Describe speed in the chosen engine: methods at equal speed, bits against speed, and how it was timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from dashboard.insights import Insight
from dashboard.insights.claim_rules import DECODE_TIME, Spread
from dashboard.insights.comparison import Ranking, common_range, nats, rank_mixtures, tie
from dashboard.insights.speed_order import (
    BY_ROUNDS,
    BY_SPREAD,
    is_faster,
    judged_by,
    per_second,
    speed_error,
    spread_of,
    with_rates,
)
from dashboard.results.rows import Row, by_method, complete
from dashboard.results.scope import Scope
from dashboard.results.statistics import rank_correlation
from dashboard.results.timings import repetitions
from dashboard.style import formats
from evaluator.results.files import SPEED

TIME = DECODE_TIME[1]
#: Files of a method whose decode times say what range the method covers.
_SEVERAL = 3


def slowness(row: Row, columns: Spread) -> float:
    """Return a value that grows from fast to slow: the negative rate."""
    return -float(row[columns[1]])


def timed(scope: Scope, phase: str) -> list[Row]:
    """Return the variants that were compared and timed in the chosen engine, with the columns of `spread_of`."""
    rows = with_rates(scope.results, scope.frame.to_dicts(), phase)
    return complete(rows, spread_of(phase)[1], "kld_mean")


@dataclass(frozen=True)
class EqualSpeed:
    """Each method's closest variant within `limit` ms per token (`chosen`), ranked by mean KLD.

    `others` are the rankings with the limit lower and higher by `spread` ms, the usual `speed_error`.
    """

    limit: float
    spread: float
    chosen: dict[str, Row]
    ranking: Ranking
    others: tuple[Ranking, ...]

    @property
    def place(self) -> str:
        """The limit in words, as a rate."""
        return f"at {formats.number(per_second(self.limit))} tokens/s or faster"

    @property
    def moved(self) -> str:
        """The limits of `others` in words, as rates."""
        rates = (per_second(self.limit + off) for off in (self.spread, -self.spread))
        return f"{formats.ends([rate for rate in rates if rate is not None])} tokens/s"

    @property
    def steady(self) -> bool:
        """Whether the same method stays the best (or tied) if the limit moves by the spread."""
        return len(self.others) == 2 and all(
            other.best == self.ranking.best and bool(other.tied) == bool(self.ranking.tied)
            for other in self.others
        )


def equal_speed(scope: Scope, rows: Sequence[Row]) -> EqualSpeed | None:
    """Compare methods at the middle of the decode times that all cover; None without two timed methods.

    Methods of one or two files, which cover little, take part but do not count there, if two others have more.
    """
    groups = by_method(complete(rows, TIME, "kld_mean"))
    several = {method: group for method, group in groups.items() if len(group) >= _SEVERAL}
    covering = several if len(several) > 1 else groups
    shared = common_range(covering, TIME) if len(groups) > 1 else None
    if shared is None:
        return None
    limit = sum(shared) / 2
    errors = (speed_error(scope.results, row) for group in groups.values() for row in group)
    spread = median([error for error in errors if error is not None] or [0.0])
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
    """Return each method's variant closest to the baseline among those within `bound` ms per decoded token."""
    fast = {method: [row for row in group if row[TIME] <= bound] for method, group in groups.items()}
    return {m: min(group, key=lambda row: row["kld_mean"]) for m, group in fast.items() if group}


def of_four_bits(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of 4 to 5 measured bits per weight."""
    return [row for row in rows if 4.0 <= row["bits_per_weight"] < 5.0]


def tell_equal_speed(scope: Scope, rows: Sequence[Row]) -> Insight | None:
    """Say which method is closest to the baseline at a decode speed that all methods cover."""
    comparison = equal_speed(scope, rows)
    if comparison is None:
        return None
    ranking = comparison.ranking
    place = f"A{comparison.place[1:]}{scope.in_engine}"
    offers = "; ".join(
        f"{comparison.chosen[m]['label']} {nats(value)}" for m, value in ranking.values.items()
    )
    detail = f"mean KLD of each method's closest variant: {offers}"
    if not comparison.steady:
        return Insight(f"{_undecided(comparison, scope.in_engine)}.", "tie", detail)
    if ranking.tied:
        return Insight(f"{place} {tie(ranking)}.", ranking.undecided, detail)
    detail = f"so it is with limits of {comparison.moved}; {detail}"
    return Insight(f"{place} {ranking.best} is closest to the baseline.", "finding", detail)


def _undecided(comparison: EqualSpeed, in_engine: str) -> str:
    """Say that limits within the error of the speeds give different answers."""
    files = f"Of the files that decode {comparison.place.removeprefix('at ')}{in_engine}"
    same = all(other.best == comparison.ranking.best for other in comparison.others)
    differ = f"do not all put {comparison.ranking.best} ahead" if same else "give different ones"
    limits = f"limits of {comparison.moved}, within the error of the speeds, {differ}"
    return f"{files}, no method is the closest for certain: {limits}"


def bits_and_speed(scope: Scope, rows: Sequence[Row], phase: str) -> Insight | None:
    """Say whether fewer bits are faster; None for fewer than three variants."""
    in_engine = scope.in_engine
    slow = [slowness(row, spread_of(phase)) for row in rows]
    rho = rank_correlation([r["bits_per_weight"] for r in rows], slow)
    if rho is None and len(rows) > 2:
        what = "bits" if len({row["bits_per_weight"] for row in rows}) == 1 else f"{phase} speed"
        return Insight(f"All timed variants have the same {what}{in_engine}.", "unknown")
    if rho is None:
        return None
    detail = (
        f"Spearman ρ of bits per weight and {phase} time = {formats.number(rho, 2)}, {len(rows)} variants"
    )
    if rho > 0.5:
        text = f"Fewer bits {phase} faster{in_engine or ' here'}{_exception(scope, rows, phase)}."
        return Insight(text, "finding", detail)
    text = (
        f"Fewer bits do not mean faster {phase}{in_engine or ' here'}: speed depends on the format's kernel."
    )
    return Insight(text, "caution", detail)


def _exception(scope: Scope, rows: Sequence[Row], phase: str) -> str:
    """Name the file that is slowest beside one of more bits, if measurably; else empty."""
    middle, pairs = spread_of(phase)[1], len(rows) * (len(rows) - 1) // 2
    slower = [
        (more[middle] / fewer[middle], fewer, more)
        for fewer in rows
        for more in rows
        if fewer["bits_per_weight"] < more["bits_per_weight"]
        and fewer[middle] < more[middle]
        and is_faster(scope.results, more, fewer, phase, pairs)
    ]
    if not slower:
        return ""
    _, fewer, more = max(slower, key=lambda pair: pair[0])
    return f", but not always: {fewer['label']} is slower than {more['label']}"


def four_bits(rows: Sequence[Row], front: Sequence[Row]) -> Insight | None:
    """Name the variants of 4 to 5 bits on the Pareto front; None without variants of 4 to 5 bits."""
    four = of_four_bits(rows)
    if not four:
        return None
    ids = {row["variant_id"] for row in front}
    on_front = [row["label"] for row in four if row["variant_id"] in ids]
    if on_front and len(four) == 1:
        return Insight(f"On the Pareto front: {on_front[0]}, the only variant of 4 to 5 bits.", "finding")
    if on_front:
        text = f"On the Pareto front, of {len(four)} variants of 4 to 5 bits: {formats.listing(on_front)}."
        return Insight(text, "finding")
    return Insight(
        "No variant of 4 to 5 bits is on the Pareto front: others are faster and closer.", "finding"
    )


def timing(scope: Scope, rows: Sequence[Row], phase: str) -> Insight:
    """Say on what device, in which engine and how often the variants were timed."""
    results = scope.results
    speed = results.speed(scope.engine)
    devices = formats.listing(sorted({formats.device_name(row["device"]) for row in rows}))
    device = f"{devices}, {results.manifest.threads} threads{scope.in_engine}"
    if speed is None:
        fault = results.fault(SPEED.name)
        kept = "cannot be read" if fault else "were not kept"
        return Insight(f"Timed on {device}; individual repetitions {kept}.", "caution", fault)
    counts = repetitions(speed, phase)
    least = min((counts[name] for row in rows if (name := str(row["variant_id"])) in counts), default=0)
    text = f"Timed on {device}: at least {least} {phase} repetitions each."
    by = judged_by(results, rows, phase)
    tied = {
        BY_SPREAD: "medians; ranges that overlap between p10 and p90 count as tied",
        BY_ROUNDS: "medians; files are tied unless they differ by more than the error of rounds timed in turn; "
        "more of them (run --rounds N) tell smaller differences",
    }
    return Insight(text, "note", tied.get(by, f"medians; files are compared by {by}"))
