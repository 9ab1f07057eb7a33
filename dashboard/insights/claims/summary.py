"""Judge the claims of the summary: what each method is best for, and its optimal bit rate."""

from __future__ import annotations

import math

from dashboard.insights import Claim
from dashboard.insights.claim_rules import (
    BARTOWSKI,
    DECODE_TIME,
    MAIN,
    UNSLOTH,
    Case,
    absent,
    unknown,
    untestable,
)
from dashboard.insights.claims import JUDGES
from dashboard.insights.comparison import change, log_ratio
from dashboard.insights.summary import OPTIMAL_BOUND, MethodSummary, table
from dashboard.results.rows import Row, complete
from dashboard.style import formats

_SPEED = "speed"
_RATES = ((BARTOWSKI, 4), (UNSLOTH, 4), (MAIN, 5))
#: Method, the strengths of the table that it must have, and the claim.
_STRENGTHS = (
    (BARTOWSKI, ("quality",), "bartowski is best for quality."),
    (UNSLOTH, ("small files", _SPEED), "unsloth is best for small, fast deployment."),
)


@JUDGES.register("summary")
def claims(case: Case) -> list[Claim]:
    """Judge strengths and optimal bit rates by the rules of the summary table."""
    lines = {line.method: line for line in table(case)}
    return [
        *(_strength(case, lines, *claim) for claim in _STRENGTHS),
        *(_rate(case, lines, method, bits) for method, bits in _RATES),
    ]


def _strength(
    case: Case, lines: dict[str, MethodSummary], method: str, strengths: tuple[str, ...], text: str
) -> Claim:
    """Judge that a method alone has all `strengths`: it fails as soon as others have one of them."""
    name = case.name(method)
    if name is None or name not in lines:
        return absent(text, case, method)
    if len(lines) < 2:
        return untestable(text, "a file of a second method")
    led = {strength: _leading(lines, strength) for strength in strengths}
    told = [f"{m} leads on {item}" for leading in led.values() for m, item in leading]
    evidence = f"By the rules of the table {formats.listing(told)}." if told else ""
    winners = [[m for m, _ in leading] for leading in led.values()]
    if any(leading and leading != [name] for leading in winners):
        return Claim(text, "fails", evidence)
    if _SPEED in strengths and not complete(case.rows, DECODE_TIME[1]):
        return untestable(text, f"decode times{case.scope.in_engine}", evidence)
    open_still = [strength for strength, leading in led.items() if not leading]
    if open_still:
        none = f"No method leads on {formats.listing(open_still)} by more than the error."
        return unknown(text, f"{evidence} {none}".strip())
    return Claim(text, "holds", evidence)


def _leading(lines: dict[str, MethodSummary], strength: str) -> list[tuple[str, str]]:
    """Return the methods that lead on a strength, with the table's words."""
    return [(m, item) for m, line in lines.items() for item in line.best_for if item.startswith(strength)]


def _rate(case: Case, lines: dict[str, MethodSummary], method: str, bits: int) -> Claim:
    """Judge at which bits a method first meets the rule.

    Without a file that meets it, a file of these bits or more that measurably does not refutes the claim, as fewer
    bits lose more.
    """
    text = f"The optimal bit rate of {method} is {bits} bits."
    name = case.name(method)
    if name is None or name not in lines:
        return absent(text, case, method)
    line = lines[name]
    if line.by_rule:
        optimal = line.optimal["bits_per_weight"]
        return Claim(
            text, "holds" if bits <= optimal < bits + 1 else "fails", f"By rule: {_file(line.optimal)}."
        )
    worse = [row for row in case.methods[name] if row["bits_per_weight"] >= bits and _misses(row)]
    if worse:
        most = max(worse, key=lambda row: row["bits_per_weight"])
        return Claim(text, "fails", f"More bits do not meet the rule either: {_file(most)}.")
    nearest = f"{line.chosen.partition(':')[0]}: {_file(line.optimal)}"
    return unknown(text, f"No variant meets the rule; {nearest}.")


def _misses(row: Row) -> bool:
    """Whether a file's rise of perplexity is above the rule's bound by more than the error."""
    return log_ratio(row).low > math.log1p(OPTIMAL_BOUND)


def _file(row: Row) -> str:
    return f"{row['quant']}, {formats.bits(row['bits_per_weight'])}, {change(log_ratio(row))} perplexity"
