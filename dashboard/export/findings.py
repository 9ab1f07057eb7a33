"""The texts of an export: the answer, the recommendations, the tables, the takeaways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

from dashboard.insights import Insight
from dashboard.insights.answers import Answers
from dashboard.insights.claim_rules import Case
from dashboard.insights.claims import every
from dashboard.insights.comparison import change, elsewhere, log_ratio
from dashboard.insights.losses import by_domain
from dashboard.insights.order import by_importance
from dashboard.insights.provisional import provisional
from dashboard.insights.summary import MethodSummary, summarize
from dashboard.insights.tally import MEANING, Tally
from dashboard.insights.verdict import rule, standings, verdict
from dashboard.pages import overview
from dashboard.pages.summary import HEADS, SIZE_HEADS
from dashboard.results.rows import one_place, type_name
from dashboard.results.scope import Scope
from dashboard.style import formats
from dashboard.style.columns import EFFICIENCY_SCALE

PLUS_MINUS = "± is half a 95 % interval, clustered by window if available."
#: Kinds of insights that say what is not known.
_OPEN = ("unknown", "caution")


@dataclass(frozen=True)
class Findings:
    """`answer` is the recommendation in a sentence, within the user's limits or for everyday use.

    `table` has a row per method under `heads`; `counted` counts the claims of all views by verdict. `sizes` has a row
    per size at which methods were compared, under `size_heads`, and `sizes_compared` says how.
    """

    answer: str
    recommendations: Sequence[Insight]
    notes: Sequence[Insight]
    table: Sequence[Sequence[str]]
    counted: str
    sizes: Sequence[Sequence[str]] = ()
    sizes_compared: str = ""
    heads: Sequence[str] = HEADS
    size_heads: Sequence[str] = SIZE_HEADS

    @property
    def claims(self) -> str:
        """The count of claims, and what it means."""
        return f"{self.counted} {MEANING}"


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
    told = f"Claims about quantization, tested here: {counted.told(provisional(scope))}"
    bands = Case.of(scope).bands
    return Findings(
        answers.headline,
        [*answers.in_sentences(scope), *about],
        by_importance(notes),
        table,
        told,
        [astuple(line) for line in standings(bands)],
        f"Compared {rule(bands)}. {PLUS_MINUS}" if bands else "",
    )


def takeaways(scope: Scope, words: Findings, insights: Sequence[Insight]) -> list[Insight]:
    """Return at most five sentences: the answer, methods at equal size, where the file loses most, claims, doubts.

    `insights` are those of all views; the first that says what is not known is taken if no note of `words` does.
    Without files there are none.
    """
    with formats.in_one_unit(scope.results.variants["size_bytes"]):
        case, chosen = Case.of(scope), Answers.of(scope).chosen
        if not case.compared:
            return []
        told = [Insight(f"{words.answer}.")]
        told += [
            replace(verdict(case.bands), detail=f"by {band.measure}{band.instead}") for band in case.bands[:1]
        ]
        lost = by_domain(scope, [chosen]) if chosen is not None else None
        told += [lost] if lost is not None else []
        told.append(Insight(words.counted, detail=MEANING))
        doubts = [item for item in [*words.notes, *insights] if item.kind in _OPEN]
        first = [*(item for item in doubts if item in words.notes or item.kind == "unknown"), *doubts][:1]
        return [*told, *first]


def _cells(line: MethodSummary) -> list[str]:
    row = line.optimal
    rate = f"{formats.bits(row['bits_per_weight'])} ({type_name(row)}, {line.chosen})"
    efficiency = row["inv_ppl_per_mb"]
    scaled = formats.number(EFFICIENCY_SCALE * efficiency) if efficiency is not None else "not measured"
    ppl = f"{formats.number(row['ppl'], 4)} ({change(log_ratio(row))})"
    return [line.method, "; ".join(line.best_for), "; ".join(line.limitations), rate, ppl, scaled]
