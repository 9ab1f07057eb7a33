"""Decide which of two files is faster: by the rounds that timed both, or by the spread of single repetitions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from dashboard.insights.claim_rules import DECODE_TIME, Spread
from dashboard.results.engines import ENGINE
from dashboard.results.results import Results
from dashboard.results.rounds import FEWEST, Rounds
from dashboard.results.rows import Row
from dashboard.results.statistics import Estimate
from dashboard.results.timings import prefill_ends

#: Lower end, median and upper end of the speed of prompts and of decoding in tokens/s; the ends, and those of
#: decoding, are in rows of `with_rates` only.
PREFILL_RATE: Spread = ("prefill_low", "run_prefill_tps", "prefill_high")
DECODE_RATE: Spread = ("decode_tps_low", "decode_tps_p50", "decode_tps_high")
BY_ROUNDS, BY_SPREAD = "rounds timed in turn", "p10–p90"


def spread_of(phase: str) -> Spread:
    """Return the columns of the lower end, the median and the upper end of a phase's tokens per second."""
    return DECODE_RATE if phase == "decode" else PREFILL_RATE


def per_second(ms: float | None) -> float | None:
    """Return the tokens per second of a time per token in ms; None without one."""
    return 1000 / ms if ms else None


def with_rates(results: Results, rows: Sequence[Row], phase: str) -> list[Row]:
    """Return rows with the columns of `spread_of`, null where a phase was not timed.

    The ends are those of the median's 95 % interval over rounds, else the 10th and 90th percentile of repetitions.
    """
    names = spread_of(phase)
    found = []
    for row in rows:
        rate, half = _rate(row, phase), _half(results, row, phase)
        ends = _percentiles(results, row, phase)
        if rate is not None and half is not None:
            ends = (rate * math.exp(-half), rate * math.exp(half))
        found.append(row | dict(zip(names, (ends[0], rate, ends[1]), strict=True)))
    return found


def _rate(row: Row, phase: str) -> float | None:
    """Return a row's median of tokens per second; None where the phase was not timed."""
    return per_second(row[DECODE_TIME[1]]) if phase == "decode" else row[PREFILL_RATE[1]]


def _percentiles(results: Results, row: Row, phase: str) -> tuple[float | None, float | None]:
    """Return p10 and p90 of a row's tokens per second: the longest times are the lowest rates."""
    if phase == "decode":
        shortest, _, longest = DECODE_TIME
        return per_second(row[longest]), per_second(row[shortest])
    engine = str(row[ENGINE])
    ends: dict[str, tuple[float, float]] = results.memoized(
        f"ends {engine} {phase}",
        lambda: {name: (low, high) for name, low, high in prefill_ends(results.speed(engine)).iter_rows()},
    )
    return ends.get(str(row["variant_id"]), (None, None))


def speed_error(results: Results, row: Row) -> float | None:
    """Return half the interval of a file's time per decoded token, in ms: 95 % over rounds, else p10 to p90."""
    low, middle, high = (row[name] for name in DECODE_TIME)
    half = _half(results, row, "decode")
    if half is not None:
        return float(middle * math.expm1(half))
    return None if None in (low, high) else float(high - low) / 2


def shortest_time(results: Results, row: Row) -> float | None:
    """Return the lower end of a file's time per decoded token, in ms: of the 95 % interval over rounds, else p10."""
    low, middle, _ = (row[name] for name in DECODE_TIME)
    half = _half(results, row, "decode")
    return low if half is None or middle is None else float(middle * math.exp(-half))


def lead(results: Results, one: Row, other: Row, phase: str = "decode") -> Estimate | None:
    """Return the ln of how many times as fast `one` is as `other`; None unless they were timed in the same rounds.

    Each row is of the engine that it names.
    """
    mine, theirs = (_rounds(results, row, phase) for row in (one, other))
    return theirs.slower(str(other["variant_id"]), str(one["variant_id"]), mine)


def is_faster(results: Results, one: Row, other: Row, phase: str = "decode", among: int = 1) -> bool:
    """Return whether `one` is measurably faster than `other`, one of `among` comparisons.

    By rounds it is if the lead is outside its 95 % interval (Bonferroni over `among`); files without rounds in common
    differ if neither the ranges from p10 to p90 of their repetitions nor the intervals of their medians overlap.
    """
    ahead = lead(results, one, other, phase)
    if ahead is not None:
        return ahead.value > ahead.reach(among)
    slowest, fastest = (range_of(results, row, phase) for row in (one, other))
    return slowest[0] > fastest[1]


def range_of(results: Results, row: Row, phase: str) -> tuple[float, float]:
    """Return the range of a row's rate: the wider of p10–p90 and 95 % over rounds, or the median without either."""
    rate = _rate(row, phase) or 0.0
    low, high = _percentiles(results, row, phase)
    off = math.exp(_half(results, row, phase) or 0.0)
    return min(low or rate, rate / off), max(high or rate, rate * off)


def fastest(results: Results, rows: Sequence[Row], phase: str = "decode") -> list[Row]:
    """Return the rows that may be the fastest, by median: those than which none is measurably faster."""
    ordered = sorted(rows, key=lambda row: (-(_rate(row, phase) or 0.0), str(row["variant_id"])))
    among = max(len(rows) - 1, 1)
    return [
        row
        for place, row in enumerate(ordered)
        if not any(is_faster(results, other, row, phase, among) for other in ordered[:place])
    ]


def level_with(results: Results, own: Row, others: Sequence[Row], phase: str) -> tuple[float, float] | None:
    """Return between which tokens/s files are level with `own`, one of those compared with all `others` by rounds.

    None if it shares no rounds with any of them.
    """
    leads = [found for other in others if (found := lead(results, own, other, phase)) is not None]
    if not leads:
        return None
    half, rate = max(found.reach(len(others)) for found in leads), own[spread_of(phase)[1]]
    return rate * math.exp(-half), rate * math.exp(half)


def judged_by(results: Results, rows: Sequence[Row], phase: str = "decode") -> str:
    """Return by what `rows` are compared: `BY_ROUNDS`, `BY_SPREAD`, or both in words."""
    rounds = [(str(row["variant_id"]), _rounds(results, row, phase)) for row in rows]
    pairs = itertools.combinations(rounds, 2)
    known = [len(mine.shared(one, other, theirs)) >= FEWEST for (one, mine), (other, theirs) in pairs]
    if not any(known):
        return BY_SPREAD
    return BY_ROUNDS if all(known) else f"{BY_ROUNDS}, where they were not by {BY_SPREAD}"


def bars_of(results: Results, rows: Sequence[Row], phase: str) -> str:
    """Return what the ends of `with_rates` are, in words."""
    known = [_half(results, row, phase) is not None for row in rows]
    if not any(known):
        return BY_SPREAD
    return "95 %" if all(known) else f"95 % or {BY_SPREAD}"


def _half(results: Results, row: Row, phase: str) -> float | None:
    """Return half the 95 % interval of the ln of a row's speed, over its rounds; None without two of them."""
    mean = _rounds(results, row, phase).own(str(row["variant_id"]))
    return None if mean is None else mean.half


def _rounds(results: Results, row: Row, phase: str) -> Rounds:
    engine = str(row[ENGINE])
    return results.memoized(f"rounds {engine} {phase}", lambda: Rounds.of(results.speed(engine), phase))
