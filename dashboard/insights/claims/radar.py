"""Judge the claims of view 8: which method leads on which metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dashboard.insights import Claim
from dashboard.insights.claim_rules import BARTOWSKI, MAIN, UNSLOTH, Case, absent, unknown, untestable
from dashboard.insights.claims import JUDGES
from dashboard.insights.leaders import DECODE, FIDELITY, MEMORY, PERPLEXITY, SIZE, contenders
from dashboard.insights.matching import one_type, types_of
from dashboard.style import formats

_QUALITY = "bartowski leads on perplexity and KLD."
_LIGHT = "unsloth leads on speed and memory."
_BALANCED = "main leads on no metric."
_NONE_SWEEPS = "No method leads on every metric."
#: Methods that may be the best, per metric; several are tied.
Contenders = Mapping[str, Sequence[str]]
#: Metrics measured once, without an error: methods within 1 % of the best are equal.
_WITHOUT_ERROR = (SIZE, MEMORY)
_SPEED = "the decode speed of every method's file"


@JUDGES.register("radar")
def claims(case: Case) -> list[Claim]:
    """Judge leaders per metric between variants of equal bits; a lead within its error does not count."""
    rows = one_type(case.compared)
    if len(rows) < 2:
        return [
            untestable(text, "a file of a second method")
            for text in (_QUALITY, _LIGHT, _BALANCED, _NONE_SWEEPS)
        ]
    leaders = {
        metric: [str(row["method"]) for row in first]
        for metric, first in contenders(case.scope, rows).items()
        if metric != SIZE or len(first) < len(rows)  # files of equal size: nobody can lead by it
    }
    main, files = case.name(MAIN), f" Files: {types_of(rows)}."
    return [
        _leads(_QUALITY, case, BARTOWSKI, leaders, (PERPLEXITY, FIDELITY), files),
        _leads(_LIGHT, case, UNSLOTH, leaders, (DECODE, MEMORY), files),
        no_lead(main, leaders, files) if main is not None else absent(_BALANCED, case, MAIN),
        no_sweep(leaders, files),
    ]


def _leads(
    text: str, case: Case, method: str, leaders: Contenders, metrics: tuple[str, ...], files: str
) -> Claim:
    name = case.name(method)
    if name is None:
        return absent(text, case, method)
    missing = [metric for metric in metrics if metric not in leaders]
    if missing:
        return untestable(text, f"{formats.listing(missing)} of every method's file")
    where = case.scope.in_engine if metrics == (DECODE, MEMORY) else ""
    evidence = (
        f"Best{where} by {'; '.join(f'{metric}: {_first(leaders[metric])}' for metric in metrics)}.{files}"
    )
    if any(name not in leaders[metric] for metric in metrics):
        return Claim(text, "fails", evidence)
    return Claim(text, "unknown" if any(len(leaders[m]) > 1 for m in metrics) else "holds", evidence)


def _first(methods: Sequence[str]) -> str:
    return methods[0] if len(methods) == 1 else f"{formats.listing(list(methods))} tied"


def no_lead(name: str, leaders: Contenders, files: str = "") -> Claim:
    """Judge that main (`name` in this folder) leads on no metric.

    It must be behind on all of them, or within 1 % of the best by those that have no error. `files` is a sentence
    that names the compared ones.
    """
    if not leaders:
        return untestable(_BALANCED, "a metric that was measured for every method's file")
    won = [metric for metric, first in leaders.items() if first == [name]]
    if won:
        return Claim(_BALANCED, "fails", f"{name} is best by {formats.listing(won, 6)}.{files}")
    level = [metric for metric, first in leaders.items() if name in first]
    tied = [metric for metric in level if metric not in _WITHOUT_ERROR]
    if tied:
        return unknown(_BALANCED, f"{name} is tied with the best by {formats.listing(tied, 8)}.{files}")
    if DECODE not in leaders:
        return untestable(_BALANCED, _SPEED)
    behind = formats.listing([metric for metric in leaders if metric not in level], 8)
    same = f"; within 1 % of it by {formats.listing(level)}" if level else ""
    return Claim(_BALANCED, "holds", f"It is behind the best by each of: {behind}{same}.{files}")


def no_sweep(leaders: Contenders, files: str = "") -> Claim:
    """Judge that no method leads on every metric: it holds if none may be the best by all of them; see `no_lead`."""
    if not leaders:
        return untestable(_NONE_SWEEPS, "a metric that was measured for every method's file")
    parts = "; ".join(f"{metric}: {_first(first)}" for metric, first in leaders.items())
    evidence = f"Best by {parts}.{files}"
    everywhere = set.intersection(*(set(first) for first in leaders.values()))
    if not everywhere:
        return Claim(_NONE_SWEEPS, "holds", evidence)
    if DECODE not in leaders:
        return untestable(_NONE_SWEEPS, _SPEED, evidence)
    if all(len(first) == 1 for first in leaders.values()):
        return Claim(_NONE_SWEEPS, "fails", evidence)
    return unknown(
        _NONE_SWEEPS, f"Best by {parts}. {formats.listing(sorted(everywhere))} may be the best by all.{files}"
    )
