"""Judge the claims of the summary: what each method is best for, and its optimal bit rate."""

from __future__ import annotations

from dashboard.insights import Claim
from dashboard.insights.claim_rules import BARTOWSKI, DECODE_TIME, MAIN, UNSLOTH, Case, absent, unknown
from dashboard.insights.claims import JUDGES
from dashboard.insights.comparison import change, log_ratio
from dashboard.insights.summary import MethodSummary, table
from dashboard.results.rows import complete
from dashboard.style import formats

_RATES = ((BARTOWSKI, 4), (UNSLOTH, 4), (MAIN, 5))
_STRENGTHS = (
    (BARTOWSKI, "quality", "bartowski is best for quality."),
    (UNSLOTH, "speed", "unsloth is best for small, fast deployment."),
)


@JUDGES.register("summary")
def claims(case: Case) -> list[Claim]:
    """Judge strengths and optimal bit rates by the rules of the summary table."""
    lines = {line.method: line for line in table(case)}
    return [
        *(_strength(case, lines, *claim) for claim in _STRENGTHS),
        *(_rate(case, lines, method, bits) for method, bits in _RATES),
    ]


def _strength(case: Case, lines: dict[str, MethodSummary], method: str, strength: str, text: str) -> Claim:
    name = case.name(method)
    if name is None or name not in lines:
        return absent(text, method)
    if len(lines) < 2:
        return unknown(text, "Only one method can be compared.")
    winners = [m for m, line in lines.items() if any(item.startswith(strength) for item in line.best_for)]
    if not winners:
        measured = strength != "speed" or bool(complete(case.rows, DECODE_TIME[1]))
        why = (
            f"No method leads on {strength} by more than the error."
            if measured
            else f"Speed was not measured{case.scope.in_engine}."
        )
        return unknown(text, why)
    led = [
        f"{m} leads on {item}"
        for m, line in lines.items()
        for item in line.best_for
        if item.startswith(strength)
    ]
    evidence = f"By the rules of the table {formats.listing(led)}."
    return Claim(text, "holds" if winners == [name] else "fails", evidence)


def _rate(case: Case, lines: dict[str, MethodSummary], method: str, bits: int) -> Claim:
    text = f"The optimal bit rate of {method} is {bits} bits."
    name = case.name(method)
    if name is None or name not in lines:
        return absent(text, method)
    line = lines[name]
    row = line.optimal
    evidence = f"{row['quant']}, {formats.bits(row['bits_per_weight'])}, {change(log_ratio(row))} perplexity"
    if not line.by_rule:
        return unknown(text, f"No variant meets the rule; {line.chosen.partition(':')[0]}: {evidence}.")
    return Claim(
        text, "holds" if bits <= row["bits_per_weight"] < bits + 1 else "fails", f"By rule: {evidence}."
    )
