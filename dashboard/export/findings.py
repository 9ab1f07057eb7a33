"""The texts of an export: the answer, the recommendations, the summary per method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.insights import Insight
from dashboard.insights.answers import Answers
from dashboard.insights.claims import every
from dashboard.insights.comparison import change, elsewhere, log_ratio
from dashboard.insights.order import by_importance
from dashboard.insights.provisional import provisional
from dashboard.insights.summary import MethodSummary, summarize
from dashboard.insights.tally import MEANING, Tally
from dashboard.pages import overview
from dashboard.pages.summary import HEADS
from dashboard.results.rows import one_place, type_name
from dashboard.results.scope import Scope
from dashboard.style import formats
from dashboard.style.columns import EFFICIENCY_SCALE


@dataclass(frozen=True)
class Findings:
    """`answer` is the recommendation in a sentence, within the user's limits or for everyday use.

    `table` has a row per method under `heads`; `claims` counts the claims of all views by verdict.
    """

    answer: str
    recommendations: Sequence[Insight]
    notes: Sequence[Insight]
    table: Sequence[Sequence[str]]
    claims: str
    heads: Sequence[str] = HEADS


def findings(scope: Scope) -> Findings:
    """Return the texts for the selected variants; for an empty selection they say that nothing is selected."""
    with formats.in_one_unit(scope.results.variants["size_bytes"]):
        return _findings(scope)


def _findings(scope: Scope) -> Findings:
    passing = scope.rows
    rows = one_place(passing)
    about = elsewhere(passing, rows)
    table = [_cells(line) for line in summarize(scope)]
    notes = [note for note in overview.notes(scope) if note not in about]
    answers = Answers.of(scope)
    counted = Tally.of(claim for _, claims in every(scope) for claim in claims)
    told = f"Claims about quantization, tested here: {counted.told(provisional(scope))} {MEANING}"
    return Findings(answers.headline, [*answers.in_sentences(), *about], by_importance(notes), table, told)


def _cells(line: MethodSummary) -> list[str]:
    row = line.optimal
    rate = f"{formats.bits(row['bits_per_weight'])} ({type_name(row)}, {line.chosen})"
    efficiency = row["inv_ppl_per_mb"]
    scaled = formats.number(EFFICIENCY_SCALE * efficiency) if efficiency is not None else "not measured"
    ppl = f"{formats.number(row['ppl'], 4)} ({change(log_ratio(row))})"
    return [line.method, "; ".join(line.best_for), "; ".join(line.limitations), rate, ppl, scaled]
