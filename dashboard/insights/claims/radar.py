"""Judge the claims of view 8: which method leads on which metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dashboard.insights import Claim
from dashboard.insights.claim_rules import BARTOWSKI, MAIN, TIED, UNSLOTH, Case, absent, unknown
from dashboard.insights.claims import JUDGES
from dashboard.insights.leaders import DECODE, FIDELITY, MEMORY, PERPLEXITY, contenders
from dashboard.insights.matching import one_type
from dashboard.style import formats

_QUALITY = "bartowski leads on perplexity and KLD."
_LIGHT = "unsloth leads on speed and memory."
_BALANCED = "main leads on no metric."
_NONE_SWEEPS = "No method leads on every metric."
#: Methods that may be the best, per metric; several are tied.
Contenders = Mapping[str, Sequence[str]]


@JUDGES.register("radar")
def claims(case: Case) -> list[Claim]:
    """Judge leaders per metric between variants of equal bits; a lead within its error does not count."""
    rows = one_type(case.compared)
    if len(rows) < 2:
        return [
            unknown(text, "Two methods are needed.") for text in (_QUALITY, _LIGHT, _BALANCED, _NONE_SWEEPS)
        ]
    leaders = {
        metric: [str(row["method"]) for row in first]
        for metric, first in contenders(case.scope, rows).items()
    }
    return [
        _leads(_QUALITY, case, BARTOWSKI, leaders, (PERPLEXITY, FIDELITY)),
        _leads(_LIGHT, case, UNSLOTH, leaders, (DECODE, MEMORY)),
        no_lead(case.name(MAIN), leaders),
        _no_sweep({metric: first[0] if len(first) == 1 else TIED for metric, first in leaders.items()}),
    ]


def _leads(text: str, case: Case, method: str, leaders: Contenders, metrics: tuple[str, ...]) -> Claim:
    name = case.name(method)
    if name is None:
        return absent(text, method)
    missing = [metric for metric in metrics if metric not in leaders]
    if missing:
        return unknown(text, f"Not measured for every method: {formats.listing(missing)}.")
    where = case.scope.in_engine if metrics == (DECODE, MEMORY) else ""
    evidence = f"Best{where} by {'; '.join(f'{metric}: {_first(leaders[metric])}' for metric in metrics)}."
    if any(name not in leaders[metric] for metric in metrics):
        return Claim(text, "fails", evidence)
    return Claim(text, "unknown" if any(len(leaders[m]) > 1 for m in metrics) else "holds", evidence)


def _first(methods: Sequence[str]) -> str:
    return methods[0] if len(methods) == 1 else f"{formats.listing(list(methods))} tied"


def no_lead(name: str | None, leaders: Contenders) -> Claim:
    """Judge that main (`name` in this folder) leads on no metric: it must be behind on all of them."""
    if name is None:
        return absent(_BALANCED, MAIN)
    if not leaders:
        return unknown(_BALANCED, "No metric was measured for every method.")
    won = [metric for metric, first in leaders.items() if first == [name]]
    if won:
        return Claim(_BALANCED, "fails", f"{name} is best by {formats.listing(won, 6)}.")
    tied = [metric for metric, first in leaders.items() if name in first]
    if tied:
        return unknown(_BALANCED, f"{name} is tied with the best by {formats.listing(tied, 8)}.")
    return Claim(
        _BALANCED, "holds", f"It is behind the best by each of: {formats.listing(list(leaders), 8)}."
    )


def _no_sweep(leaders: dict[str, str]) -> Claim:
    names = sorted(set(leaders.values()) - {TIED})
    if not names:
        return unknown(_NONE_SWEEPS, "No method leads on any metric by more than the error.")
    if len(names) == 1 and TIED in leaders.values():
        return unknown(_NONE_SWEEPS, f"{names[0]} is best or tied everywhere.")
    if len(names) == 1:
        return Claim(_NONE_SWEEPS, "fails", f"{names[0]} is best by {formats.listing(list(leaders), 8)}.")
    won = {name: [metric for metric, leader in leaders.items() if leader == name] for name in names}
    parts = "; ".join(f"{name}: {formats.listing(metrics, 8)}" for name, metrics in won.items())
    return Claim(_NONE_SWEEPS, "holds", f"Best by more than the error: {parts}.")
