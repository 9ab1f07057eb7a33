"""Judge the claims of view 5: quality for the size of the file."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.insights import Claim
from dashboard.insights.bands import beaten_by_smaller
from dashboard.insights.claim_rules import (
    BARTOWSKI,
    MAIN,
    Case,
    absent,
    between,
    leads_everywhere,
    untestable,
)
from dashboard.insights.claims import JUDGES
from dashboard.insights.comparison import nats
from dashboard.insights.efficiency import most_efficient
from dashboard.insights.noise import least_divergence
from dashboard.insights.recommender import EVERYDAY, within
from dashboard.results.cache_types import by_file, loss_from_file, with_caches
from dashboard.results.rows import Row, complete
from dashboard.style import formats

_EFFICIENT = "bartowski has the highest 1/PPL per MB."
_LARGER = "main needs a larger file for the same quality."
_CACHE = "A q8_0 cache costs nothing measurable."
_FOUR = "4 bits is the most efficient."


@JUDGES.register("size")
def claims(case: Case) -> list[Claim]:
    """Judge efficiency at equal size, size at equal quality, the bits of the best ratio, and a smaller cache."""
    cache = [_small_cache(case)] if case.scope.results.kv_cache() is not None else []
    return [_efficient(case), _larger(case), _four_bits(case), *cache]


def _efficient(case: Case) -> Claim:
    """Judge by perplexity, compared token by token, which orders 1/PPL/MB at equal size."""
    claim = leads_everywhere(_EFFICIENT, case, BARTOWSKI, nats, "nll")
    return Claim(claim.text, claim.verdict, f"{claim.evidence} At equal size the lower PPL decides.")


def _larger(case: Case) -> Claim:
    """Count the sizes at which main is behind, and files beaten by a smaller one of another method, both ways.

    A file that is behind at equal size needs to be larger to be as close.
    """
    name = case.name(MAIN)
    if name is None:
        return absent(_LARGER, case, MAIN)
    rows = complete(case.compared, "kld_mean")
    ours = [row for row in rows if row in case.methods[name]]
    others = [row for row in rows if row not in ours]
    if not ours or not others:
        return untestable(_LARGER, "files of two methods with a mean KLD")
    beaten = beaten_by_smaller(case.scope, ours, others)
    beating = beaten_by_smaller(case.scope, others, ours)
    evidence = f"Beaten by a smaller file of another method: {len(beaten)} of {name}'s {len(ours)} files"
    if beaten:
        row, rival = beaten[0]
        evidence += f", such as {row['label']} by {rival['label']}"
    held = [band for band in case.bands if name in band.files]
    behind = [band for band in held if name in band.ranking.behind]
    ahead = [band for band in held if band.leader == name]
    evidence += (
        f"; by a smaller file of {name}: {len(beating)} of the others' {len(others)}. At equal size {name} is behind "
        f"at {len(behind)} of {len(held)} sizes and leads at {len(ahead)}. By mean KLD, paired."
    )
    if (beaten or behind) and not (beating or ahead):
        mostly = 2 * len(beaten) >= len(ours) or (held and len(behind) == len(held))
        return Claim(_LARGER, "holds" if mostly else "unknown", evidence)
    return Claim(_LARGER, "fails" if (beating or ahead) and not (beaten or behind) else "unknown", evidence)


def _four_bits(case: Case) -> Claim:
    floor = f"+{formats.percent(EVERYDAY, 0)} perplexity"
    rows = [row for row in complete(case.compared, "inv_ppl_per_mb") if row["inv_ppl_per_mb"] > 0]
    if not rows:
        return untestable(_FOUR, "the perplexity of a file")
    alone = f"1/PPL/MB alone prefers {_with_bits(most_efficient(case.scope, rows))}"
    good = within(rows, EVERYDAY)
    if not good:
        return untestable(_FOUR, f"a file under {floor}", f"{alone}.")
    first = most_efficient(case.scope, good)
    leads = "leads" if len(first) == 1 else "are not measurably apart at the top"
    evidence = f"Among files under {floor} {_with_bits(first)} {leads}; {alone}."
    four = between(first, 4, 5)
    return Claim(_FOUR, "unknown" if 0 < len(four) < len(first) else "holds" if four else "fails", evidence)


def _with_bits(rows: Sequence[Row]) -> str:
    return formats.listing([f"{row['label']} ({formats.bits(row['bits_per_weight'])})" for row in rows])


def _small_cache(case: Case) -> Claim:
    """Compare what q8_0 adds to f16 with the noise floor.

    The two runs are not paired, so the error of their difference is too wide, never too narrow.
    """
    names = {row["variant_id"] for row in case.rows}
    ours = complete([row for row in with_caches(case.scope) if row["variant_id"] in names], "cache_kld_mean")
    added = [
        (file["q8_0"], loss_from_file(file["q8_0"]).minus(loss_from_file(file["f16"])))
        for file in by_file(ours)
        if {"q8_0", "f16"} <= set(file)
    ]
    if not added:
        return untestable(_CACHE, "a file run with both caches: run with --kv-cache f16,q8_0")
    floor = least_divergence(case.scope.narrowed(domains=frozenset(), bins=frozenset()), case.rows)
    reach = [(row, change, change.reach(len(added))) for row, change in added]
    costly = [row for row, change, half in reach if change.value - half > floor]
    rounding = f"rounding the baseline's weights to bf16 costs {formats.number(floor, 2)}"
    rounding = rounding if floor else "the noise floor was not measured"
    row, most, half = max(reach, key=lambda item: item[1].value)
    evidence = (
        f"Against f16 it adds at most {formats.with_error(most.value, half)} nats to the KLD from the file's weights "
        f"({row['label']}); {rounding}. "
        f"More than that by more than the error: {len(costly)} of {len(added)} files, 95 % for all together."
    )
    free = all(change.value + half <= floor for _, change, half in reach)
    return Claim(_CACHE, "fails" if costly else "holds" if free else "unknown", evidence)
