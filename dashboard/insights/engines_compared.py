"""Compare the engines that a folder's files were run in: speed, the loss they add, and speed at further depths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import median

import polars as pl

from dashboard.insights import Insight
from dashboard.insights.engine_gap import GAP, words
from dashboard.insights.speed_order import BY_SPREAD, is_faster, judged_by, spread_of
from dashboard.insights.speeds import slowness, timed
from dashboard.results.engines import ENGINE, as_run_by
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.results.statistics import rank_correlation
from dashboard.results.timings import decode_depths
from dashboard.style import formats

#: From this rank correlation on, the order of files is called the same.
_ALIKE = 0.9
_FEW = 3


def others(scope: Scope) -> list[str]:
    """Return the engines that are not chosen."""
    return [engine for engine in scope.results.engines if engine != scope.engine]


def compared(scope: Scope, rows: Sequence[Row], phase: str) -> list[Insight]:
    """Compare the chosen engine with each other one, over the files of `rows` that both timed."""
    mine = {str(row["variant_id"]): row for row in rows}
    insights = []
    for engine in others(scope):
        theirs = {str(row["variant_id"]): row for row in timed(scope.narrowed(engine=engine), phase)}
        both = [(row, theirs[name]) for name, row in mine.items() if name in theirs]
        if both:
            pair = scope.engine, engine
            found = (_faster(scope, both, pair, phase), _losses(both), _order(both, pair, phase))
            insights += [insight for insight in found if insight is not None]
    return insights


def _faster(scope: Scope, both: Sequence[tuple[Row, Row]], engines: tuple[str, str], phase: str) -> Insight:
    """Say in which engine how many files are faster, and by what ratio."""
    ratios = [_ratio(*pair, phase) for pair in both]
    faster_than = partial(is_faster, scope.results, phase=phase, among=len(both))
    apart = [
        ratio
        for pair, ratio in zip(both, ratios, strict=True)
        if faster_than(*pair) or faster_than(*reversed(pair))
    ]
    by_spread = any(judged_by(scope.results, pair, phase) == BY_SPREAD for pair in both)
    wins = sum(ratio > 1 for ratio in apart), sum(ratio < 1 for ratio in apart)
    first = wins[0] >= wins[1]
    ahead, behind = map(as_run_by, engines if first else engines[::-1])
    faster = [ratio if first else 1 / ratio for ratio in ratios]
    ties = len(both) - len(apart)
    within = (
        "their p10–p90 ranges overlap"
        if by_spread
        else "the difference is within the error of rounds in turn"
    )
    tied = f"{ties} tied: {within}" if ties else ""
    detail = "; ".join(filter(None, [f"from file to file {formats.ends(faster, 2)} ×", tied]))
    times, one = formats.times(median(faster)), len(both) == 1
    if not apart or (one and not times):
        files = f"All {len(both)} files {phase}" if not one else f"{both[0][0]['label']} {phase}s"
        return Insight(f"{files} equally fast {ahead} and {behind}.", "tie", detail)
    if one:
        text = f"{both[0][0]['label']} {phase}s faster {ahead} than {behind}: {times} as fast."
        apart_by = (
            "their p10–p90 ranges do not overlap" if by_spread else "more than the error of rounds in turn"
        )
        return Insight(text, "finding", apart_by)
    counts = f"{max(wins)} of {len(both)} files {phase} faster {ahead}, {min(wins) or 'none'} {behind}"
    middle = f"{times} as fast at the median" if times else "at the median equally fast"
    return Insight(f"{counts}: {middle}.", "finding", detail)


def _ratio(one: Row, other: Row, phase: str) -> float:
    """Return how many times as fast as `other` `one` is."""
    middle = spread_of(phase)[1]
    return float(one[middle] / other[middle])


def _losses(both: Sequence[tuple[Row, Row]]) -> Insight | None:
    """Say what each engine adds to the loss; None unless both were measured for a file."""
    known = [pair for pair in both if pair[0][GAP] is not None and pair[1][GAP] is not None]
    if not known:
        return None
    adders = [words(row[ENGINE]).adder for row in known[0]]
    added = [median(row[GAP] for row in side) for side in zip(*known, strict=True)]
    less = sum(one[GAP] < other[GAP] for one, other in known)
    lower, higher = (0, 1) if added[0] <= added[1] else (1, 0)
    count = less if lower == 0 else len(known) - less
    least, most = (formats.number(added[side], 2) for side in (lower, higher))
    text = f"{adders[lower]} adds {least} nats to a file's loss, {_lowered(adders[higher])} {most} (medians)."
    return Insight(text, "finding", f"the first adds less for {count} of {len(known)} files")


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _order(both: Sequence[tuple[Row, Row]], engines: tuple[str, str], phase: str) -> Insight | None:
    """Say whether the files have the same order by speed in both engines; None for too few files."""
    columns = spread_of(phase)
    rho = rank_correlation(*([slowness(row, columns) for row in side] for side in zip(*both, strict=True)))
    if rho is None or len(both) < _FEW:
        return None
    of = f"Spearman ρ of the {phase} speeds of {len(both)} files"
    detail = f"{of} {' and '.join(map(as_run_by, engines))} = {formats.number(rho, 2)}"
    if rho >= _ALIKE:
        return Insight("The files have about the same order by speed in both engines.", "finding", detail)
    return Insight("The order of the files by speed is not the same in both engines.", "caution", detail)


def depths(scope: Scope) -> Mapping[str, list[tuple[int, float]]]:
    """Return [(tokens in the cache, ms per new token)] of each variant in the chosen engine, if there are several."""
    results, engine = scope.results, scope.engine
    return results.memoized(f"depths {engine}", lambda: _depths(results.speed(engine)))


def _depths(speed: pl.DataFrame | None) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    frame = decode_depths(speed)
    for variant_id, depth, ms in frame.select("variant_id", "depth", "ms").iter_rows():
        found.setdefault(variant_id, []).append((depth, ms))
    return {name: pairs for name, pairs in found.items() if len(pairs) > 1}


def depth_in_words(pairs: Sequence[tuple[int, float]]) -> str:
    """Write a variant's times by depth."""
    times = ", ".join(f"{formats.number(ms)} ms after {formats.count(depth)}" for depth, ms in pairs)
    return f"decode by tokens in the cache: {times}"


def slowing(scope: Scope, rows: Sequence[Row]) -> Insight | None:
    """Say how much slower tokens are decoded when the cache is full; None if only one depth was timed."""
    of = depths(scope)
    known = [of[name] for row in rows if (name := str(row["variant_id"])) in of]
    if not known:
        return None
    deepest = max(pairs[-1][0] for pairs in known)
    usual = [pairs[-2] for pairs in known if pairs[-1][0] == deepest]
    ratios = [pairs[-1][1] / pairs[-2][1] for pairs in known if pairs[-1][0] == deepest]
    before = f"after {formats.count(usual[0][0])}" if usual[0][0] else "with an empty cache"
    times = f"{formats.number(median(ratios), 2)} × as long as {before}"
    text = f"After {formats.count(deepest)} tokens, decoding a token takes {times}{scope.in_engine}."
    over = f"median of {len(ratios)} files, {formats.ends(ratios, 2)} ×" if len(ratios) > 1 else "one file"
    return Insight(text, "finding", f"{over}; each new token reads the whole cache")
