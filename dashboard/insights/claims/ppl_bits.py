"""Judge the claims of view 1: perplexity over bits per weight."""

from __future__ import annotations

import math

from dashboard.insights import Claim
from dashboard.insights.bands import lowest
from dashboard.insights.claim_rules import (
    BARTOWSKI,
    MAIN,
    UNSLOTH,
    Case,
    absent,
    below,
    leads,
    sign,
    slope_between,
    unknown,
    untestable,
)
from dashboard.insights.claims import JUDGES
from dashboard.insights.comparison import change, log_ratio, minus, nats
from dashboard.insights.curves import inversions, knee_text, knees, steadiness, trends
from dashboard.insights.matching import SAME_BITS
from dashboard.insights.recommender import HEAVY
from dashboard.results.rows import Row
from dashboard.style import formats

_LOW, _MIDDLE = 3.0, 5.0
_TURN = (3.5, 4.5)


@JUDGES.register("ppl-bits")
def claims(case: Case) -> list[Claim]:
    """Judge order, steadiness, low bits, and where the curve turns."""
    return [_order(case), _steady(case), _sharp(case), _acceptable(case), _turn(case)]


def _order(case: Case) -> Claim:
    text = "Perplexity falls as bits rise, for every method."
    known = trends(case.compared)
    if not known:
        return untestable(text, "a third file of one method, as a trend needs three")
    wrong = inversions(case.scope, case.compared)
    if wrong:
        step = f"{wrong[0].larger['label']} is worse than the smaller {wrong[0].smaller['quant']}"
        return Claim(text, "fails", f"{step} by {nats(wrong[0].by)}, paired.")
    rho = formats.listing([f"{method} ρ = {formats.number(value, 2)}" for method, value in known.items()], 6)
    if any(value >= 0 for value in known.values()):
        return Claim(text, "fails", f"Rank correlation of loss with bits: {rho}.")
    return Claim(text, "holds", f"Rank correlation of loss with bits: {rho}; no step breaks the order.")


def _steady(case: Case) -> Claim:
    text = "bartowski is the steadiest across bits."
    steady = steadiness(case.scope, case.compared)
    if steady is None:
        return untestable(text, "files of all methods at the same bits (within 0.25), in two places at least")
    claim = leads(text, case, BARTOWSKI, steady.ranking, nats, f"in the rise {steady.where}")
    if not steady.flat:
        return claim
    best = steady.ranking.best
    return unknown(text, f"{best}'s curve is the flattest, but {best} is not steady: {steady.flat}.")


def _sharp(case: Case) -> Claim:
    text = "main degrades sharply below 3 bits."
    name = case.name(MAIN)
    if name is None:
        return absent(text, case, MAIN)
    group = case.methods[name]
    least = group[0]
    if least["bits_per_weight"] >= _LOW:
        bits = formats.bits(least["bits_per_weight"])
        return untestable(text, f"a file of {name} below 3 bits per weight; its smallest has {bits}")
    turn = next((row for row in group if row["bits_per_weight"] >= _LOW), None)
    above = [row for row in group if turn and row["bits_per_weight"] - turn["bits_per_weight"] > SAME_BITS]
    if turn is None or not above:
        return untestable(text, f"two files of {name} from 3 bits per weight up")
    top = min(above, key=lambda row: abs(row["bits_per_weight"] - _MIDDLE))
    steep, gentle = slope_between(least, turn), slope_between(turn, top)
    below_turn, above_turn = case.combine(steep), case.combine(gentle)
    if below_turn is None or above_turn is None:
        return untestable(text, f"perplexities of {name}'s files on the same tokens")
    evidence = (
        f"A bit costs {nats(below_turn)} {_span(turn, least)}{_beside(case, name, least, turn)} and "
        f"{nats(above_turn)} {_span(top, turn)}; sharply: more than twice as much."
    )
    return sign(text, case.combine(minus(steep, gentle, 2.0)), evidence)


def _span(higher: Row, lower: Row) -> str:
    high, low = (formats.number(row["bits_per_weight"]) for row in (higher, lower))
    return f"from {high} down to {low} bits"


def _beside(case: Case, name: str, least: Row, turn: Row) -> str:
    """Write the loss per bit of the other methods with files at both places."""
    low, high = case.near(least["bits_per_weight"]), case.near(turn["bits_per_weight"])
    others = [
        f"{method} {nats(slope)}"
        for method, row in low.items()
        if method != name
        and method in high
        and high[method] is not row
        and (slope := case.combine(slope_between(row, high[method]))) is not None
    ]
    return f" (other methods: {formats.listing(others)})" if others else ""


def _acceptable(case: Case) -> Claim:
    text = "unsloth keeps an acceptable perplexity at low bits."
    name = case.name(UNSLOTH)
    if name is None:
        return absent(text, case, UNSLOTH)
    band = lowest(case.bands, name)
    row = band.files[name] if band is not None else case.methods[name][0]
    loss, bound = log_ratio(row), formats.percent(HEAVY, 0)
    where = f"{row['label']}, {formats.bits(row['bits_per_weight'])}"
    evidence = f"Perplexity is {change(loss)} ({where}); acceptable: under +{bound}."
    return below(text, {name: loss}, math.log1p(HEAVY), evidence)


def _turn(case: Case) -> Claim:
    text = "The turning point is around 4 bits per weight."
    bends = knees(case.compared)
    bent = {method: knee for method, knee in bends.items() if knee is not None}
    if not bent:
        if not bends:
            return untestable(text, "six files of one method, to locate a bend")
        return unknown(text, "No bend can be located: two straight lines fit no better than one.")
    evidence = f"The curve bends at: {formats.listing([f'{m} {knee_text(k)}' for m, k in bent.items()], 6)}."
    if all(_TURN[0] <= knee.low and knee.high <= _TURN[1] for knee in bent.values()):
        return Claim(text, "holds", evidence)
    if any(knee.high < _TURN[0] or knee.low > _TURN[1] for knee in bent.values()):
        return Claim(text, "fails", f"{evidence} Around 4: 3.5 to 4.5.")
    return Claim(text, "unknown", f"{evidence} The intervals extend beyond 3.5 to 4.5.")
