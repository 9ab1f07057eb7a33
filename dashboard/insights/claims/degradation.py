"""Claims of view 2: what is lost against the baseline."""

from __future__ import annotations

import math

from dashboard import formats
from dashboard.insights import Claim
from dashboard.insights.claims import JUDGES
from dashboard.insights.comparison import change, log_ratio, minus, nats
from dashboard.insights.judging import (
    BARTOWSKI,
    MAIN,
    UNSLOTH,
    Case,
    absent,
    below,
    between,
    leads,
    listed,
    sign,
    unknown,
)
from dashboard.insights.losses import noise_floor, worst_rise
from dashboard.insights.recommender import EVERYDAY
from dashboard.insights.statistics import Estimate

_ALMOST_NOTHING = 0.01
_FOUR = 4.0


@JUDGES.register("degradation")
def claims(case: Case) -> list[Claim]:
    """Low bits, 8 bits, steepness below 4 bits, 4 bits as the balance."""
    return [_low_bits(case), _eight(case), *_steepness(case), _balance(case)]


def _low_bits(case: Case) -> Claim:
    text = "bartowski keeps the highest relative accuracy at low bits."
    if case.shared_bits is None:
        return unknown(text, "No two methods share a range of bits.")
    where = case.shared_bits[0]
    ranking = case.rank(where)
    claim = leads(text, case, BARTOWSKI, ranking, nats, f"at {formats.bits(where)}")
    if ranking is None:
        return claim
    kept = {method: formats.percent(math.exp(-value.value)) for method, value in ranking.values.items()}
    shares = formats.listing([f"{method} {share}" for method, share in kept.items()], 6)
    top = case.rank(where, "same_top", largest=True)
    same = f" Same top token: {listed(top.values, _share)}." if top is not None else ""
    return Claim(text, claim.verdict, f"{claim.evidence} PPL of the baseline / PPL: {shares}.{same}")


def _share(estimate: Estimate) -> str:
    return formats.percent(estimate.value)


def _eight(case: Case) -> Claim:
    text = "8 bits costs almost nothing, with any method."
    eight = between(case.compared, 7.5, 10)
    if not eight:
        return unknown(text, "No selected variant has 7.5 to 10 bits.")
    evidence = f"Perplexity rises by {worst_rise(eight)[0]}"
    klds = [row["kld_mean"] for row in eight if row["kld_mean"] is not None]
    floor = noise_floor(case.results, case.selection, eight)
    if klds and floor is not None and floor.kld_mean > 0:
        evidence += f"; KLD up to {formats.number(max(klds) / floor.kld_mean, 2)} × the noise floor"
    bound = math.log1p(_ALMOST_NOTHING)
    almost = formats.percent(_ALMOST_NOTHING, 0)
    values = {str(row["variant_id"]): log_ratio(row) for row in eight}
    return below(text, values, bound, f"{evidence}; almost nothing: under +{almost}.")


def _steepness(case: Case) -> list[Claim]:
    steep, gradual = (
        "main degrades fastest below 4 bits.",
        "unsloth degrades more gradually than main below 4 bits.",
    )
    low = case.shared_bits[0] if case.shared_bits else _FOUR
    weights = case.slopes(low, _FOUR) if low < _FOUR else {}
    if len(weights) < 2:
        why = "Fewer than two methods have variants below and above 4 bits."
        return [unknown(steep, why), unknown(gradual, why)]
    ranking = case.rank_mixtures(weights, largest=True)
    where = f"per bit from 4 down to {formats.number(low)}"
    claim = leads(steep, case, MAIN, ranking, nats, where)
    values = {m: value for m, w in weights.items() if (value := case.combine(w)) is not None}
    first = Claim(steep, claim.verdict, f"Loss {where}: {listed(values, nats)}.") if values else claim
    ours, theirs = case.name(UNSLOTH), case.name(MAIN)
    if ours is None or theirs is None:
        return [first, absent(gradual, UNSLOTH if ours is None else MAIN)]
    if ours not in weights or theirs not in weights:
        return [first, unknown(gradual, "One of them has no variants on both sides of 4 bits.")]
    difference = case.combine(minus(weights[theirs], weights[ours]))
    evidence = f"Per bit below 4 main loses {nats(difference)} more." if difference is not None else ""
    return [first, sign(gradual, difference, evidence)]


def _balance(case: Case) -> Claim:
    text = "4 bits is a good balance, with every method."
    values: dict[str, Estimate] = {}
    for group in case.methods.values():
        four = between(group, 4.0, 5.0)
        if four:
            nearest = min(four, key=lambda row: (row["ln_ppl_ratio"], row["variant_id"]))
            values[str(nearest["label"])] = log_ratio(nearest)
    if len(values) < len(case.methods) or not values:
        return unknown(text, "Not every method has a variant of 4 to 4.99 measured bits.")
    bound = formats.percent(EVERYDAY, 0)
    evidence = f"The best at 4 to 4.99 bits: {listed(values, change)}; good: under +{bound} perplexity."
    return below(text, values, math.log1p(EVERYDAY), evidence)
