"""Claims of view 5: quality for the size of the file."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dashboard import formats
from dashboard.charts import Row, by_method, complete
from dashboard.insights import Claim
from dashboard.insights.claims import JUDGES
from dashboard.insights.comparison import SIZE, common_range, divergence, nats
from dashboard.insights.judging import BARTOWSKI, MAIN, Case, absent, leads, unknown
from dashboard.insights.recommender import EVERYDAY, within
from dashboard.insights.statistics import Estimate, at

_EFFICIENT = "bartowski has the highest 1/PPL per MB."
_LARGER = "main needs a larger file for the same quality."
_FOUR = "4 bits is the most efficient."


@JUDGES.register("size")
def claims(case: Case) -> list[Claim]:
    """Efficiency at equal size, size at equal quality, and the bits of the best ratio."""
    return [_efficient(case), _larger(case), _four_bits(case)]


def _efficient(case: Case) -> Claim:
    """At equal size the ratio is ordered by perplexity, which is compared token by token."""
    shared = common_range(case.methods, SIZE) if len(case.methods) > 1 else None
    if shared is None:
        return unknown(_EFFICIENT, "No two methods share a range of file sizes.")
    where = sum(shared) / 2
    ranking = case.rank(where, along=SIZE)
    return leads(
        _EFFICIENT, case, BARTOWSKI, ranking, nats, f"at {formats.size(where)}, where the lower PPL decides,"
    )


def _larger(case: Case) -> Claim:
    name = case.name(MAIN)
    if name is None:
        return absent(_LARGER, MAIN)
    groups = by_method([row for row in complete(case.compared, "kld_mean") if row["kld_mean"] > 0])
    curves = {method: _sizes(group) for method, group in groups.items() if len(group) > 1}
    if name not in curves or len(curves) < 2:
        return unknown(_LARGER, "Fewer than two methods have two variants with a KLD.")
    low = max(min(loss for loss, _ in curve) for curve in curves.values())
    high = min(max(loss for loss, _ in curve) for curve in curves.values())
    if low >= high:
        return unknown(_LARGER, "The methods share no range of KLD.")
    where = (low + high) / 2
    sizes = {m: size for m, curve in curves.items() if (size := _size_at(curve, where)) is not None}
    rivals = {method: size for method, size in sizes.items() if method != name}
    best = min(rivals, key=lambda method: rivals[method].value)
    excess = sizes[name].minus(rivals[best])
    half = f" ± {formats.percent(excess.half * math.exp(excess.value))}" if excess.has_error else ""
    ratio = f"{formats.percent(math.expm1(excess.value))}{half}"
    evidence = (
        f"At a KLD of {formats.number(math.exp(where), 2)} nats main's file is {ratio} larger than {best}'s."
    )
    if not excess.differs_from_zero:
        return unknown(_LARGER, f"{evidence} That is inside its error.")
    return Claim(_LARGER, "holds" if excess.value > 0 else "fails", evidence)


Curve = list[tuple[float, Estimate]]


def _sizes(group: Sequence[Row]) -> Curve:
    """Points of ln KLD and ln size; the error of the KLD becomes one of the size along the local slope."""
    points = sorted(
        (math.log(row["kld_mean"]), math.log(row["size_bytes"]), divergence(row)) for row in group
    )
    if points[-1][0] == points[0][0]:
        return []
    steep = abs((points[-1][1] - points[0][1]) / (points[-1][0] - points[0][0]))
    return [(loss, Estimate(size, steep * kld.se / kld.value, kld.freedom)) for loss, size, kld in points]


def _size_at(curve: Curve, where: float) -> Estimate | None:
    return at([loss for loss, _ in curve], [size for _, size in curve], where)


def _four_bits(case: Case) -> Claim:
    floor = f"+{formats.percent(EVERYDAY, 0)} perplexity"
    rows = complete(case.compared, "inv_ppl_per_mb")
    if not rows:
        return unknown(_FOUR, "1/PPL/MB was not computed.")
    best = max(rows, key=lambda row: (row["inv_ppl_per_mb"], row["variant_id"]))
    alone = f"1/PPL/MB alone prefers {best['label']} ({formats.bits(best['bits_per_weight'])})"
    good = within(rows, EVERYDAY)
    if not good:
        return unknown(_FOUR, f"No file keeps the floor of {floor}; {alone}.")
    top = max(good, key=lambda row: (row["inv_ppl_per_mb"], row["variant_id"]))
    evidence = (
        f"Above a floor of {floor} {top['label']} leads ({formats.bits(top['bits_per_weight'])}); {alone}."
    )
    return Claim(_FOUR, "holds" if 4 <= top["bits_per_weight"] < 5 else "fails", evidence)
