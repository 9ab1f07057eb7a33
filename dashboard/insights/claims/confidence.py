"""Judge the claims of view 6: confidence of the next token."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.insights import Claim
from dashboard.insights.claim_rules import (
    BARTOWSKI,
    MAIN,
    Case,
    absent,
    between,
    extreme,
    leads_everywhere,
    untestable,
)
from dashboard.insights.claims import JUDGES
from dashboard.insights.confidence import SURE, entropy_gap, moved, shares
from dashboard.insights.matching import one_type, types_of
from dashboard.results.rows import Row
from dashboard.results.statistics import Estimate
from dashboard.style import formats

_LOW_BITS, _VERY_LOW = 4.0, 3.0
_KEEPS = "bartowski keeps the most high-confidence tokens."
_SHIFTS = "Low bits shift confidence to the medium and low ranges."
_UNIFORM = "main's confidence is the most evenly spread."
_TWO = "2 bits is significantly worse."


def points(estimate: Estimate) -> str:
    """Write a difference of shares in percentage points with its 95 % half-width."""
    return f"{formats.with_error(100 * estimate.value, 100 * estimate.half)} points"


@JUDGES.register("confidence")
def claims(case: Case) -> list[Claim]:
    """Judge the kept high-confidence tokens, the shift at low bits, evenness, and 2 bits.

    None can be tested on tokens chosen by the baseline's confidence: there the baseline has all of a bin's tokens, so
    every other file has fewer.
    """
    if case.scope.selection.bins:
        lacking = "the tokens of all bins; remove the filter of confidence"
        return [untestable(text, lacking) for text in (_KEEPS, _SHIFTS, _UNIFORM, _TWO)]
    return [_keeps(case), _shifts(case), _uniform(case), _two_bits(case)]


def _keeps(case: Case) -> Claim:
    return leads_everywhere(_KEEPS, case, BARTOWSKI, points, f"bin{SURE}", largest=True)


def _shifts(case: Case) -> Claim:
    low = between(case.compared, 0, _LOW_BITS)
    if not low:
        return untestable(_SHIFTS, "a file of less than 4 bits per weight")
    sure = moved(case.scope, low)
    if not sure:
        return untestable(_SHIFTS, _tokens_of(low))
    lost = [row for row, change in sure if change.high < 0]
    kept = [row for row, change in sure if change.low > 0]
    row, change = min(sure, key=lambda pair: pair[1].value)
    share = f"{len(lost)} of {len(sure)} variants under 4 bits lose high-confidence tokens"
    evidence = f"{share}; the most: {row['label']}, {points(change)}."
    if len(lost) == len(sure):
        return Claim(_SHIFTS, "holds", evidence)
    return Claim(_SHIFTS, "fails" if kept else "unknown", evidence)


def _uniform(case: Case) -> Claim:
    name = case.name(MAIN)
    if name is None:
        return absent(_UNIFORM, case, MAIN)
    rows = one_type(case.compared)
    shares_of = {row["method"]: shares(case.scope, row) for row in rows}
    known = {method: item for method, item in shares_of.items() if item is not None}
    if name not in known or len(known) < 2:
        alone = f"a file of another method of the type of one of {name}"
        return untestable(_UNIFORM, alone if known else _tokens_of(rows))
    gaps = {m: entropy_gap(case.scope, known[name], item) for m, item in known.items() if m != name}
    ahead = {method: gap for method, gap in gaps.items() if gap is not None}
    if not ahead:
        return untestable(_UNIFORM, "files of the methods that scored the same tokens")
    numbers = [
        f"{method} {formats.with_error(-gap.value, gap.half, plus=True)}" for method, gap in ahead.items()
    ]
    listed = formats.listing(numbers, 6)
    evidence = (
        f"Entropy of the five shares against that of {name} in nats, paired, {types_of(rows)}: {listed}."
    )
    return extreme(_UNIFORM, name, ahead, evidence)


def _tokens_of(rows: Sequence[Row]) -> str:
    """Name the files whose scored tokens are missing."""
    return f"the scored tokens of {formats.listing([str(row['label']) for row in rows])}"


def _two_bits(case: Case) -> Claim:
    low = between(case.compared, 0, _VERY_LOW)
    if not low:
        return untestable(_TWO, "a file of less than 3 bits per weight")
    sure = moved(case.scope, low)
    if not sure:
        return untestable(_TWO, _tokens_of(low))
    numbers = [f"{row['label']} {points(change)}" for row, change in sure]
    evidence = f"Change of the share of tokens over 0.95 from the baseline: {formats.listing(numbers, 4)}."
    if all(change.high < 0 for _, change in sure):
        return Claim(_TWO, "holds", evidence)
    return Claim(_TWO, "fails" if any(change.low > 0 for _, change in sure) else "unknown", evidence)
