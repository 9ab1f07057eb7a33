"""Claims of view 8: who leads on which metric."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard import formats
from dashboard.charts import Row
from dashboard.insights import Claim
from dashboard.insights.claims import JUDGES
from dashboard.insights.comparison import one_type
from dashboard.insights.judging import BARTOWSKI, MAIN, TIED, UNSLOTH, Case, absent, overlap, unknown

_QUALITY = "bartowski leads on perplexity and KLD."
_LIGHT = "unsloth leads on speed and memory."
_BALANCED = "main leads on no metric."
_NOBODY = "No method leads on every metric."
#: Exact quantities: name, column, and whether more is better.
_EXACT = (("size", "size_bytes", False), ("memory", "peak_rss_bytes", False))
#: Per-token quantities, compared token by token.
_PER_TOKEN = (("perplexity", "nll", False), ("KLD", "kld", False), ("same top token", "same_top", True))


@JUDGES.register("radar")
def claims(case: Case) -> list[Claim]:
    """Leaders per metric, between the methods' variants of one type; a lead inside its error is none."""
    rows = one_type(case.compared)
    if len(rows) < 2:
        return [unknown(text, "Two methods are needed.") for text in (_QUALITY, _LIGHT, _BALANCED, _NOBODY)]
    leaders = _leaders(case, rows)
    return [
        _leads(_QUALITY, case, BARTOWSKI, leaders, ("perplexity", "KLD")),
        _leads(_LIGHT, case, UNSLOTH, leaders, ("decode speed", "memory")),
        _no_lead(case, leaders),
        _no_sweep(leaders),
    ]


def _leaders(case: Case, rows: Sequence[Row]) -> dict[str, str]:
    """Best method per metric that every row has; `TIED` where the lead is inside its error."""
    mixtures = {row["method"]: {row["variant_id"]: 1.0} for row in rows}
    found = {}
    for name, column, largest in _PER_TOKEN:
        ranking = case.rank_mixtures(mixtures, column, largest=largest)
        if ranking is not None and len(ranking.values) == len(rows):
            found[name] = TIED if ranking.tied else ranking.best
    if all(row["decode_ms_p50"] is not None for row in rows):
        first, second, *_ = sorted(rows, key=lambda row: row["decode_ms_p50"])
        found["decode speed"] = TIED if overlap(first, second) else str(first["method"])
    for name, column, largest in _EXACT:
        if all(row[column] is not None for row in rows):
            best = sorted(rows, key=lambda row: row[column], reverse=largest)
            found[name] = TIED if best[0][column] == best[1][column] else str(best[0]["method"])
    return found


def _leads(text: str, case: Case, method: str, leaders: dict[str, str], metrics: tuple[str, ...]) -> Claim:
    name = case.name(method)
    if name is None:
        return absent(text, method)
    missing = [metric for metric in metrics if metric not in leaders]
    if missing:
        return unknown(text, f"Not measured for every method: {formats.listing(missing)}.")
    evidence = f"Best by {'; '.join(f'{metric}: {leaders[metric]}' for metric in metrics)}."
    if any(leaders[metric] not in (name, TIED) for metric in metrics):
        return Claim(text, "fails", evidence)
    return Claim(text, "unknown" if TIED in [leaders[m] for m in metrics] else "holds", evidence)


def _no_lead(case: Case, leaders: dict[str, str]) -> Claim:
    name = case.name(MAIN)
    if name is None:
        return absent(_BALANCED, MAIN)
    won = [metric for metric, leader in leaders.items() if leader == name]
    if won:
        return Claim(_BALANCED, "fails", f"{name} is best by {formats.listing(won, 6)}.")
    return Claim(_BALANCED, "holds", f"It leads alone on none of: {formats.listing(list(leaders), 8)}.")


def _no_sweep(leaders: dict[str, str]) -> Claim:
    names = sorted(set(leaders.values()) - {TIED})
    if not names:
        return unknown(_NOBODY, "No metric has a leader outside its error.")
    if len(names) == 1 and TIED in leaders.values():
        return unknown(_NOBODY, f"{names[0]} is best or tied everywhere.")
    if len(names) == 1:
        return Claim(_NOBODY, "fails", f"{names[0]} is best by {formats.listing(list(leaders), 8)}.")
    won = {name: [metric for metric, leader in leaders.items() if leader == name] for name in names}
    parts = "; ".join(f"{name}: {formats.listing(metrics, 8)}" for name, metrics in won.items())
    return Claim(_NOBODY, "holds", f"Best by a lead outside its error: {parts}.")
