"""Judge the claims of view 2: loss against the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean

from dashboard.insights import Claim
from dashboard.insights.bands import lowest
from dashboard.insights.claim_rules import (
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
    slope_between,
    unequal,
    untestable,
)
from dashboard.insights.claims import JUDGES
from dashboard.insights.comparison import change, log_ratio, minus, nats
from dashboard.insights.losses import worst_rise
from dashboard.insights.matching import shared_places, together
from dashboard.insights.noise import noise_floor
from dashboard.insights.recommender import EVERYDAY
from dashboard.results.rows import Row
from dashboard.results.statistics import Estimate
from dashboard.style import formats

_ALMOST_NOTHING = 0.01
_FOUR = 4.0


@JUDGES.register("degradation")
def claims(case: Case) -> list[Claim]:
    """Judge low bits, 8 bits, the steepness below 4 bits, and 4 bits as the balance."""
    return [_low_bits(case), _eight(case), *_steepness(case), _balance(case)]


def _low_bits(case: Case) -> Claim:
    text = "bartowski keeps the highest relative accuracy at low bits."
    name = case.name(BARTOWSKI)
    if name is None:
        return absent(text, case, BARTOWSKI)
    band = lowest(case.bands, name)
    if band is None:
        return unequal(text, name)
    where = f"at {formats.size(band.size)} ({formats.bits(band.bits)}), by {band.measure}{band.instead},"
    claim = leads(text, case, BARTOWSKI, band.ranking, nats, where)
    kept = [f"{m} {formats.percent(math.exp(-row['ln_ppl_ratio']))}" for m, row in band.files.items()]
    top = case.rank_files(band.files, "same_top", largest=True)
    same = f" Same top token: {listed(top.values, _share)}." if top is not None else ""
    return Claim(
        text, claim.verdict, f"{claim.evidence} PPL of the baseline / PPL: {formats.listing(kept, 6)}.{same}"
    )


def _share(estimate: Estimate) -> str:
    return formats.percent(estimate.value)


def _eight(case: Case) -> Claim:
    text = "8 bits costs almost nothing, with any method."
    eight = between(case.compared, 7.5, 10)
    if not eight:
        return untestable(text, "a file of 7.5 to 10 bits per weight, such as Q8_0")
    evidence = f"Perplexity rises by {worst_rise(eight)[0]}"
    klds = [row["kld_mean"] for row in eight if row["kld_mean"] is not None]
    floor = noise_floor(case.scope, eight)
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
    fewest = together(case.methods, shared_places(case.methods))
    most = together(case.methods, [bits for bits in shared_places(case.methods) if bits >= _FOUR])
    if len(case.methods) < 2 or fewest is None or most is None or _bits(fewest) >= _FOUR:
        lacking = _lacking(case)
        return [untestable(steep, lacking), untestable(gradual, lacking)]
    weights = {name: slope_between(row, most[name]) for name, row in fewest.items() if row is not most[name]}
    ranking = case.rank_mixtures(weights, largest=True)
    where = f"per bit from {formats.number(_bits(most))} down to {formats.number(_bits(fewest))}"
    claim = leads(steep, case, MAIN, ranking, nats, where)
    values = {m: value for m, w in weights.items() if (value := case.combine(w)) is not None}
    first = Claim(steep, claim.verdict, f"Loss {where}: {listed(values, nats)}.") if values else claim
    ours, theirs = case.name(UNSLOTH), case.name(MAIN)
    if ours is None or theirs is None:
        return [first, absent(gradual, case, UNSLOTH if ours is None else MAIN)]
    difference = case.combine(minus(weights[theirs], weights[ours]))
    evidence = f"Per bit below 4 main loses {nats(difference)} more." if difference is not None else ""
    return [first, sign(gradual, difference, evidence)]


def _lacking(case: Case) -> str:
    """Say which files on both sides of 4 bits are missing."""
    if len(case.methods) < 2:
        return "a second method"
    fewer = [name for name, group in case.methods.items() if not between(group, 0, _FOUR)]
    more = [name for name, group in case.methods.items() if not between(group, _FOUR, math.inf)]
    parts = [f"under 4 bits per weight of {formats.listing(fewer)}"] if fewer else []
    parts += [f"from 4 bits per weight of {formats.listing(more)}"] if more else []
    if not parts:
        return "files of all methods at the same bits (within 0.25), once below 4 bits and once from 4 bits"
    return f"a file {formats.listing(parts)}"


def _bits(files: Mapping[str, Row]) -> float:
    return fmean(row["bits_per_weight"] for row in files.values())


def _balance(case: Case) -> Claim:
    text = "4 bits is a good balance, with every method."
    values: dict[str, Estimate] = {}
    for group in case.methods.values():
        four = between(group, 4.0, 5.0)
        if four:
            nearest = min(four, key=lambda row: (row["ln_ppl_ratio"], row["variant_id"]))
            values[str(nearest["label"])] = log_ratio(nearest)
    if not values:
        return untestable(text, "a file of 4 to 4.99 measured bits per weight")
    bound = formats.percent(EVERYDAY, 0)
    evidence = f"The best at 4 to 4.99 bits: {listed(values, change)}; good: under +{bound} perplexity."
    claim = below(text, values, math.log1p(EVERYDAY), evidence)
    others = [name for name, group in case.methods.items() if not between(group, 4.0, 5.0)]
    if others and claim.verdict != "fails":
        return untestable(
            text, f"a file of 4 to 4.99 measured bits per weight of {formats.listing(others)}", evidence
        )
    return claim
