"""Judge the claims of view 4: speed against accuracy."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from dashboard.insights import Claim
from dashboard.insights.claim_rules import (
    BARTOWSKI,
    MAIN,
    UNSLOTH,
    Case,
    between,
    leads,
    sign,
    unknown,
    untestable,
)
from dashboard.insights.claims import JUDGES
from dashboard.insights.comparison import nats
from dashboard.insights.leaders import DECODE, FIDELITY, contenders
from dashboard.insights.matching import one_type
from dashboard.insights.speed_order import BY_SPREAD, fastest, judged_by, per_second
from dashboard.insights.speeds import TIME, equal_speed
from dashboard.results.rows import Row, by_method, complete
from dashboard.results.statistics import Estimate, slope
from dashboard.style import formats

_ACCURATE = "bartowski is more accurate at equal speed."
_FASTEST = "unsloth is the fastest."
_MIDDLE = "main is in the middle: best at neither speed nor accuracy."
_FADES = "Below some bits the gain in speed fades."
_BEND = 4.5


@JUDGES.register("speed")
def claims(case: Case) -> list[Claim]:
    """Judge accuracy at equal speed, the fastest, the middle, and the gain from fewer bits, all by decode time."""
    timed = complete(case.compared, TIME, "kld_mean")
    if not timed:
        missing = f"decode times{case.scope.in_engine}: run without --no-speed"
        return [untestable(text, missing) for text in (_ACCURATE, _FASTEST, _MIDDLE, _FADES)]
    per_token = f"ms per decoded token{case.scope.in_engine}"
    return [
        _accurate(case, timed),
        _fastest(case, timed),
        _middle(case, timed),
        _fades(timed, per_token),
    ]


def _accurate(case: Case, timed: list[Row]) -> Claim:
    comparison = equal_speed(case.scope, timed)
    if comparison is None:
        return untestable(_ACCURATE, "files of two methods whose decode times overlap")
    where = f"{comparison.place}{case.scope.in_engine}, by KLD of each method's closest variant,"
    every = (comparison.ranking, *comparison.others)
    claim, *elsewhere = (leads(_ACCURATE, case, BARTOWSKI, ranking, nats, where) for ranking in every)
    stays = len(elsewhere) == 2 and all(other.verdict == claim.verdict for other in elsewhere)
    if stays or claim.verdict == "unknown":
        return claim
    moved = f"Moving the limit within {comparison.moved}, the error of the speeds, changes the result."
    return unknown(_ACCURATE, f"{claim.evidence} {moved}")


def _fastest(case: Case, timed: list[Row]) -> Claim:
    """Compare the variants of one type; see `speed_order.is_faster`."""
    rows = one_type(timed)
    methods = {row["method"].lower() for row in rows}
    if UNSLOTH not in methods or len(methods) < 2:
        return untestable(_FASTEST, _timed_file(UNSLOTH, methods))
    rates = formats.listing([f"{row['label']} {formats.number(per_second(row[TIME]))}" for row in rows], 6)
    evidence = f"{rates} decoded tokens/s{case.scope.in_engine} (medians)."
    ours = next(row for row in rows if row["method"].lower() == UNSLOTH)
    first = fastest(case.scope.results, rows)
    by_spread = judged_by(case.scope.results, rows) == BY_SPREAD
    if ours not in first:
        ranges = "Its p10–p90 range is above another's and does not overlap it."
        slower = ranges if by_spread else f"It is slower than {_names(first, '')} by more than the error."
        return Claim(_FASTEST, "fails", f"{evidence} {slower}")
    if len(first) > 1:
        names = _names(first, "")
        level = (
            f"The p10–p90 ranges of {names} overlap." if by_spread else f"{names} differ within the error."
        )
        return unknown(_FASTEST, f"{evidence} {level}")
    ahead = "Its p10–p90 range overlaps no other." if by_spread else "It is faster by more than the error."
    return Claim(_FASTEST, "holds", f"{evidence} {ahead}")


def _middle(case: Case, timed: list[Row]) -> Claim:
    rows = one_type(timed)
    ours = next((row for row in rows if row["method"].lower() == MAIN), None)
    if ours is None or len(rows) < 2:
        return untestable(_MIDDLE, _timed_file(MAIN, {row["method"].lower() for row in rows}))
    leaders = contenders(case.scope, rows)
    if DECODE not in leaders or FIDELITY not in leaders:
        return untestable(_MIDDLE, "files of one type that scored the same tokens")
    quickest, closest = leaders[DECODE], leaders[FIDELITY]
    evidence = (
        f"Of the same type {_names(quickest)} decode{'s' * (len(quickest) == 1)} fastest{case.scope.in_engine}, "
        f"{_names(closest)} {'is' if len(closest) == 1 else 'are'} closest to the baseline."
    )
    if [ours] in (quickest, closest):
        return Claim(_MIDDLE, "fails", evidence)
    return Claim(_MIDDLE, "unknown" if ours in quickest or ours in closest else "holds", evidence)


def _timed_file(method: str, timed: Collection[str]) -> str:
    """Say whose timed file is missing; `timed` are the methods that have one of the compared type."""
    return f"a timed file of {method if method not in timed else 'another method'} of the others' type"


def _names(rows: Sequence[Row], how: str = ", tied,") -> str:
    tied = how if len(rows) > 1 else ""
    return f"{formats.listing([str(row['label']) for row in rows])}{tied}"


def _fades(timed: list[Row], per_token: str) -> Claim:
    """Compare the decode time saved per bit below 4.5 bits with that above, per method."""
    slopes_of: list[tuple[str, Estimate, Estimate]] = []
    for method, group in by_method(timed).items():
        low, high = between(group, 0, _BEND), between(group, _BEND, math.inf)
        slopes = [
            slope([r["bits_per_weight"] for r in part], [r[TIME] for r in part]) for part in (low, high)
        ]
        if slopes[0] is not None and slopes[1] is not None:
            slopes_of.append((method, slopes[0], slopes[1]))
    if not slopes_of:
        return untestable(_FADES, "three timed files of one method on each side of 4.5 bits per weight")
    method, below, above = max(slopes_of, key=lambda item: item[2].value - item[1].value)
    low_gain, high_gain = (formats.number(gain.value, 2) for gain in (below, above))
    numbers = f"{low_gain} {per_token} below 4.5 bits, {high_gain} above"
    return sign(_FADES, above.minus(below), f"{method}: a bit saved gains {numbers}.")
