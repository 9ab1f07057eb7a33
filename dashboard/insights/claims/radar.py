"""Claims of view 8: who leads on which metric."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard import formats
from dashboard.charts import Row
from dashboard.insights import Claim
from dashboard.insights.claims import JUDGES
from dashboard.insights.judging import BARTOWSKI, MAIN, TIED, UNSLOTH, Case, absent, unknown
from dashboard.insights.leaders import DECODE, FIDELITY, MEMORY, PERPLEXITY, leaders
from dashboard.insights.matching import one_type

_QUALITY = "bartowski leads on perplexity and KLD."
_LIGHT = "unsloth leads on speed and memory."
_BALANCED = "main leads on no metric."
_NOBODY = "No method leads on every metric."


@JUDGES.register("radar")
def claims(case: Case) -> list[Claim]:
    """Leaders per metric, between the methods' variants of equal bits; a lead inside its error is none."""
    rows = one_type(case.compared)
    if len(rows) < 2:
        return [unknown(text, "Two methods are needed.") for text in (_QUALITY, _LIGHT, _BALANCED, _NOBODY)]
    found = _leaders(case, rows)
    return [
        _leads(_QUALITY, case, BARTOWSKI, found, (PERPLEXITY, FIDELITY)),
        _leads(_LIGHT, case, UNSLOTH, found, (DECODE, MEMORY)),
        _no_lead(case, found),
        _no_sweep(found),
    ]


def _leaders(case: Case, rows: Sequence[Row]) -> dict[str, str]:
    """Best method per metric that every row has; `TIED` where the lead is inside its error."""
    found = leaders(case.results, case.selection, rows)
    return {name: TIED if row is None else str(row["method"]) for name, row in found.items()}


def _leads(text: str, case: Case, method: str, found: dict[str, str], metrics: tuple[str, ...]) -> Claim:
    name = case.name(method)
    if name is None:
        return absent(text, method)
    missing = [metric for metric in metrics if metric not in found]
    if missing:
        return unknown(text, f"Not measured for every method: {formats.listing(missing)}.")
    evidence = f"Best by {'; '.join(f'{metric}: {found[metric]}' for metric in metrics)}."
    if any(found[metric] not in (name, TIED) for metric in metrics):
        return Claim(text, "fails", evidence)
    return Claim(text, "unknown" if TIED in [found[m] for m in metrics] else "holds", evidence)


def _no_lead(case: Case, found: dict[str, str]) -> Claim:
    name = case.name(MAIN)
    if name is None:
        return absent(_BALANCED, MAIN)
    won = [metric for metric, leader in found.items() if leader == name]
    if won:
        return Claim(_BALANCED, "fails", f"{name} is best by {formats.listing(won, 6)}.")
    return Claim(_BALANCED, "holds", f"It leads alone on none of: {formats.listing(list(found), 8)}.")


def _no_sweep(found: dict[str, str]) -> Claim:
    names = sorted(set(found.values()) - {TIED})
    if not names:
        return unknown(_NOBODY, "No metric has a leader outside its error.")
    if len(names) == 1 and TIED in found.values():
        return unknown(_NOBODY, f"{names[0]} is best or tied everywhere.")
    if len(names) == 1:
        return Claim(_NOBODY, "fails", f"{names[0]} is best by {formats.listing(list(found), 8)}.")
    won = {name: [metric for metric, leader in found.items() if leader == name] for name in names}
    parts = "; ".join(f"{name}: {formats.listing(metrics, 8)}" for name, metrics in won.items())
    return Claim(_NOBODY, "holds", f"Best by a lead outside its error: {parts}.")
