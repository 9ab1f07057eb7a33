"""Claims of view 1: perplexity over bits per weight."""

from __future__ import annotations

import math

from dashboard import formats
from dashboard.insights import Claim
from dashboard.insights.claims import JUDGES
from dashboard.insights.comparison import change, minus, nats, steadiness
from dashboard.insights.curves import inversions, knee_text, knees, trends
from dashboard.insights.judging import BARTOWSKI, MAIN, UNSLOTH, Case, absent, below, leads, sign, unknown
from dashboard.insights.recommender import HEAVY

_LOW, _MIDDLE = 3.0, 5.0
_TURN = (3.5, 4.5)


@JUDGES.register("ppl-bits")
def claims(case: Case) -> list[Claim]:
    """Order, steadiness, low bits, and where the curve turns."""
    return [_order(case), _steady(case), _sharp(case), _acceptable(case), _turn(case)]


def _order(case: Case) -> Claim:
    text = "Perplexity falls as bits rise, for every method."
    known = trends(case.compared)
    if not known:
        return unknown(text, "No method has three variants to show a trend.")
    wrong = inversions(case.results, case.selection, case.compared)
    if wrong:
        step = f"{wrong[0].larger['label']} is worse than the smaller {wrong[0].smaller['quant']}"
        return Claim(text, "fails", f"{step} by {nats(wrong[0].by)}, paired.")
    rho = formats.listing([f"{method} ρ = {formats.number(value, 2)}" for method, value in known.items()], 6)
    if any(value >= 0 for value in known.values()):
        return Claim(text, "fails", f"Rank correlation of loss with bits: {rho}.")
    return Claim(text, "holds", f"Rank correlation of loss with bits: {rho}; no step breaks the order.")


def _steady(case: Case) -> Claim:
    text = "bartowski is the steadiest across bits."
    shared = case.shared_bits
    if shared is None:
        return unknown(text, "No two methods share a range of bits.")
    ranking = steadiness(case.results, case.selection, case.compared)
    where = f"in the rise from {formats.number(shared[1])} to {formats.number(shared[0])} bits"
    return leads(text, case, BARTOWSKI, ranking, nats, where)


def _sharp(case: Case) -> Claim:
    text = "main degrades sharply below 3 bits."
    name = case.name(MAIN)
    if name is None:
        return absent(text, MAIN)
    least = case.methods[name][0]["bits_per_weight"]
    if least >= _LOW:
        return unknown(text, f"The smallest of {name} has {formats.bits(least)}: none is below 3.")
    steep, gentle = case.slopes(least, _LOW).get(name), case.slopes(_LOW, _MIDDLE).get(name)
    if steep is None or gentle is None:
        return unknown(text, f"{name} has no variants on both sides of 3 bits.")
    below_3, above_3 = case.combine(steep), case.combine(gentle)
    if below_3 is None or above_3 is None:
        return unknown(text, "Perplexity was not compared.")
    others = [
        f"{method} {nats(slope)}"
        for method, weights in case.slopes(least, _LOW).items()
        if method != name and (slope := case.combine(weights)) is not None
    ]
    beside = f" (there {formats.listing(others)})" if others else ""
    evidence = (
        f"A bit costs {nats(below_3)} below 3 bits{beside} and {nats(above_3)} from 3 to 5; "
        "sharply: more than twice as much."
    )
    return sign(text, case.combine(minus(steep, gentle, 2.0)), evidence)


def _acceptable(case: Case) -> Claim:
    text = "unsloth keeps an acceptable perplexity at low bits."
    name = case.name(UNSLOTH)
    if name is None:
        return absent(text, UNSLOTH)
    where = case.shared_bits[0] if case.shared_bits else case.methods[name][0]["bits_per_weight"]
    loss = case.curve(name, where)
    if loss is None:
        return unknown(text, f"{name} was not measured at {formats.bits(where)}.")
    bound = formats.percent(HEAVY, 0)
    evidence = f"At {formats.bits(where)} perplexity is {change(loss)}; acceptable: under +{bound}."
    return below(text, {name: loss}, math.log1p(HEAVY), evidence)


def _turn(case: Case) -> Claim:
    text = "The turning point is around 4 bits per weight."
    found = knees(case.compared)
    bent = {method: knee for method, knee in found.items() if knee is not None}
    if not bent:
        why = "two straight lines fit no better than one" if found else "no method has six variants"
        return unknown(text, f"No bend can be located: {why}.")
    evidence = f"The curve bends at: {formats.listing([f'{m} {knee_text(k)}' for m, k in bent.items()], 6)}."
    if all(_TURN[0] <= knee.low and knee.high <= _TURN[1] for knee in bent.values()):
        return Claim(text, "holds", evidence)
    if any(knee.high < _TURN[0] or knee.low > _TURN[1] for knee in bent.values()):
        return Claim(text, "fails", f"{evidence} Around 4: 3.5 to 4.5.")
    return Claim(text, "unknown", f"{evidence} The intervals reach beyond 3.5 to 4.5.")
