"""Judge claims: the rows of one model on one device, and rules that turn estimates into verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from dashboard.insights import Claim
from dashboard.insights.bands import Band, bands
from dashboard.insights.comparison import Ranking, combine, rank_files, rank_mixtures
from dashboard.insights.faults import sound
from dashboard.insights.matching import matched
from dashboard.results.rows import Row, by_method, complete, one_place
from dashboard.results.scope import Scope
from dashboard.results.statistics import Estimate
from dashboard.style import formats

BARTOWSKI, UNSLOTH, MAIN = "bartowski", "unsloth", "main"
TIED = "tied"
#: Columns of the lower end, the median and the upper end of a measured time or rate.
Spread = tuple[str, str, str]
DECODE_TIME: Spread = ("run_decode_ms_p10", "run_decode_ms_p50", "run_decode_ms_p90")
Wording = Callable[[Estimate], str]


@dataclass(frozen=True)
class Case:
    """The data that claims are tested on: the selected variants of one model on one device, without broken files.

    A broken file says nothing about its method.
    """

    scope: Scope
    rows: list[Row]

    @classmethod
    def of(cls, scope: Scope) -> Case:
        """Build the case for the model and device of most filtered variants."""
        return scope.once("case", lambda: cls(scope, sound(scope.results, one_place(scope.rows))))

    @cached_property
    def compared(self) -> list[Row]:
        """Rows whose perplexity was compared with the baseline's."""
        return complete(self.rows, "ln_ppl_ratio")

    @cached_property
    def methods(self) -> dict[str, list[Row]]:
        """`compared` by method, sorted by bits per weight."""
        return by_method(self.compared)

    @cached_property
    def bands(self) -> list[Band]:
        """The methods compared at equal size; see `bands.bands`."""
        return bands(self.scope, self.compared)

    def name(self, method: str) -> str | None:
        """Return the method's name as spelled in this folder; None if it has no variants."""
        return next((name for name in self.methods if name.lower() == method), None)

    def combine(self, weights: Mapping[str, float], column: str = "nll") -> Estimate | None:
        """Combine variants of the case; see `comparison.combine`."""
        return combine(self.scope, self.rows, weights, column)

    def rank_mixtures(
        self, mixtures: Mapping[str, Mapping[str, float]], column: str = "nll", *, largest: bool = False
    ) -> Ranking | None:
        """Rank mixtures of the case's variants; see `comparison.rank_mixtures`."""
        return rank_mixtures(self.scope, self.rows, mixtures, column, largest=largest)

    def rank_files(
        self, files: Mapping[str, Row], column: str = "nll", *, largest: bool = False, among: int = 1
    ) -> Ranking | None:
        """Rank files of the case; see `comparison.rank_files`."""
        return rank_files(self.scope, files, column, largest=largest, among=among)

    def near(self, where: float) -> dict[str, Row]:
        """Return each method's file nearest `where` bits, at most a quarter bit away."""
        return matched(self.methods, where)


def slope_between(lower: Row, higher: Row) -> dict[str, float]:
    """Return the weights that give the loss per bit from `higher` down to `lower`."""
    per_bit = 1 / (higher["bits_per_weight"] - lower["bits_per_weight"])
    return {str(lower["variant_id"]): per_bit, str(higher["variant_id"]): -per_bit}


def unknown(text: str, why: str) -> Claim:
    """Return a claim that the numbers leave undecided."""
    return Claim(text, "unknown", why)


def untestable(text: str, missing: str, evidence: str = "") -> Claim:
    """Return a claim that the selected files cannot show, with the file or measurement that is `missing` for it."""
    return Claim(text, "untestable", f"{evidence} Missing: {missing}.".lstrip())


def absent(text: str, case: Case, method: str) -> Claim:
    """Return a claim about a method that has no file to compare."""
    if method not in map(str.lower, case.scope.results.methods):
        return untestable(text, f"a file of {method}; this folder has none")
    return untestable(text, f"an intact file of {method} among the selected ones, compared with the baseline")


def unequal(text: str, name: str) -> Claim:
    """Return a claim about a method without a file of another method's size."""
    return untestable(text, f"a file of another method as large (within 1 %) as one of {name}")


def leads(text: str, case: Case, method: str, ranking: Ranking | None, wording: Wording, where: str) -> Claim:
    """Judge that `method` leads a ranking by more than the error."""
    name = case.name(method)
    if name is None:
        return absent(text, case, method)
    place = where.partition(",")[0]
    if ranking is None:
        return untestable(text, f"files of two methods that scored the same tokens, {place}")
    if name not in ranking.values:
        return untestable(text, f"a file of {name} {place}")
    if name == ranking.best:
        return _best(text, name, ranking, wording, formats.first_up(where))
    behind = ranking.behind.get(name)
    if behind is not None:
        return Claim(
            text,
            "fails",
            f"{formats.first_up(where)} {ranking.best} is best; {name} is {wording(behind)} behind.",
        )
    return unknown(text, f"{formats.first_up(where)} {name} and {ranking.best} do not measurably differ.")


def _best(text: str, name: str, ranking: Ranking, wording: Wording, where: str) -> Claim:
    """Judge that the best of a ranking leads it: it must be ahead of all others, and not hold another's weights."""
    if not ranking.tied:
        ahead = [f"{wording(gap)} ahead of {other}" for other, gap in ranking.gaps.items()]
        return Claim(text, "holds", f"{where} {name} is {formats.listing(ahead)}.")
    rival = min(ranking.tied, key=lambda method: ranking.gaps[method].low)
    gap = ranking.gaps[rival]
    if gap.identical:
        return Claim(text, "fails", f"{where} {name} and {rival} have the same weights.")
    return unknown(text, f"{where} {name} is {wording(gap)} ahead of {rival}: {_inside(gap)}.")


def leads_everywhere(
    text: str, case: Case, method: str, wording: Wording, column: str, *, largest: bool = False
) -> Claim:
    """Judge that `method` leads by `column` at every size where its file is compared."""
    name = case.name(method)
    if name is None:
        return absent(text, case, method)
    held = [band for band in case.bands if name in band.files]
    ranked = [(band, case.rank_files(band.files, column, largest=largest, among=len(held))) for band in held]
    compared = [(band, ranking) for band, ranking in ranked if ranking is not None]
    if not compared:
        return unequal(text, name)
    ahead = [band for band, ranking in compared if ranking.best == name and not ranking.tied]
    evidence = f"{name} leads at {len(ahead)} of {formats.plural(len(compared), 'size')}"
    for band, ranking in compared:
        if name in ranking.behind:
            gap = f"{wording(ranking.behind[name])} behind {ranking.best}"
            return Claim(text, "fails", f"{evidence}; at {formats.size(band.size)} it is {gap}.")
    return Claim(text, "holds" if len(ahead) == len(compared) else "unknown", f"{evidence}.")


def sign(text: str, difference: Estimate | None, evidence: str) -> Claim:
    """Judge that a difference is above zero."""
    if difference is None:
        return untestable(text, "files that scored the same tokens", evidence)
    verdict = "holds" if difference.low > 0 else "fails" if difference.high < 0 else "unknown"
    inside = "" if verdict != "unknown" else f" {formats.first_up(_inside(difference))}."
    return Claim(text, verdict, evidence + inside)  # type: ignore[arg-type]  # one of the three words


def below(text: str, values: Mapping[str, Estimate], bound: float, evidence: str) -> Claim:
    """Judge that every value is under `bound`: holds if all 95 % intervals are below it, fails if one is above."""
    if not values:
        return untestable(text, "a file whose perplexity was compared with the baseline's", evidence)
    if all(value.high < bound for value in values.values()):
        return Claim(text, "holds", evidence)
    if any(value.low > bound for value in values.values()):
        return Claim(text, "fails", evidence)
    if not all(value.has_error for value in values.values()):
        return Claim(text, "unknown", f"{evidence} Not every error was measured.")
    return Claim(text, "unknown", f"{evidence} A 95 % interval includes the bound.")


def extreme(text: str, name: str, ahead: Mapping[str, Estimate], evidence: str) -> Claim:
    """Judge that `name` is ahead of all others, given how far it is ahead of each.

    It holds if every lead exceeds its own 95 % interval: all of them must, so none needs a wider one (Berger 1982,
    "Multiparameter Hypothesis Testing and Acceptance Sampling"). It fails if one of the others is ahead by more than
    the interval that holds for all of them together.
    """
    if all(lead.low > 0 for lead in ahead.values()):
        return Claim(text, "holds", evidence)
    if any(lead.value + lead.reach(len(ahead)) < 0 for lead in ahead.values()):
        return Claim(text, "fails", evidence)
    level = formats.listing([other for other, lead in ahead.items() if not lead.differs_from_zero])
    return unknown(text, f"{evidence} {name} and {level} do not measurably differ.")


def listed(values: Mapping[str, Estimate], wording: Wording) -> str:
    """Write every method with its value."""
    return formats.listing([f"{name} {wording(value)}" for name, value in values.items()], 6)


def between(rows: Sequence[Row], low: float, high: float) -> list[Row]:
    """Return the rows with at least `low` and less than `high` bits per weight."""
    return [row for row in rows if low <= row["bits_per_weight"] < high]


def _inside(difference: Estimate) -> str:
    return "the difference is within its error" if difference.has_error else "its error was not measured"
