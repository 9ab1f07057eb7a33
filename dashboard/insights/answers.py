"""Decide which file to run, within the user's limits, and whether that is provisional; shared by all pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dashboard.insights import Insight
from dashboard.insights.advising import Advice, Need, advise, fitting, undecided
from dashboard.insights.candidates import Candidate, Candidates, candidates
from dashboard.insights.faults import sound
from dashboard.insights.limits import need
from dashboard.insights.provisional import doubts
from dashboard.insights.recommender import (
    NOT_COMPARED,
    PRIMARY,
    Recommendation,
    recommend,
    usable,
)
from dashboard.insights.remarks import of_advice, of_recommendation
from dashboard.results.rows import Row, one_place
from dashboard.results.scope import Scope
from dashboard.style import formats


@dataclass(frozen=True)
class Answers:
    """The answers for one selection: one recommendation per need, and `advice` if the user set limits.

    `rows` are the variants of one model on one device, `among` what can be run of them, and `within` the ids of those
    that meet the limits; `doubts` are the reasons why all answers are provisional.
    """

    need: Need
    rows: list[Row]
    among: Candidates
    within: frozenset[str]
    advice: Advice | None
    recommendations: list[Recommendation]
    doubts: list[str]

    @classmethod
    def of(cls, scope: Scope) -> Answers:
        """Answer for the filtered variants of one model on one device, without broken files."""
        return scope.once("answers", lambda: cls._found(scope))

    @classmethod
    def _found(cls, scope: Scope) -> Answers:
        selected = one_place(scope.rows)
        rows = sound(scope.results, selected)
        wanted = need(scope.selection)
        among = candidates(scope, usable(rows), wanted.context)
        limits = wanted.judged(among).limits
        advice = advise(among, wanted) if limits else None
        within = [item.row for item in fitting(among.ready, among, wanted)]
        within = [row for place, row in enumerate(within) if row not in within[:place]]
        none = f"{_none_meets(among, wanted)}." if limits and usable(rows) else _why_none(selected, rows)
        ids = frozenset(str(row["variant_id"]) for row in within)
        return cls(wanted, rows, among, ids, advice, recommend(within, none), doubts(scope, rows))

    @property
    def limits(self) -> str:
        """The limits in words, without a context whose memory was not measured."""
        return self.need.judged(self.among).limits

    @property
    def unmeasured(self) -> str:
        """Say that the memory of the wanted context was not measured; empty if it was, or none is wanted."""
        return self.need.unmeasured(self.among)

    @property
    def chosen(self) -> Row | None:
        """The file that the headline names: within the limits, else for everyday use."""
        if self.advice is not None:
            return self.advice.best.row if self.advice.best is not None else None
        return self.everyday.row

    @property
    def everyday(self) -> Recommendation:
        """The recommendation for everyday use."""
        return next(item for item in self.recommendations if item.need == PRIMARY)

    def why_provisional(self, item: Recommendation | None = None) -> str:
        """Say why an answer (by default the everyday one) is provisional; empty if it is not."""
        own = (item or self.everyday).doubt if self.advice is None or item is not None else ""
        return "; ".join(filter(None, [*self.doubts, own]))

    @property
    def headline(self) -> str:
        """The answer in one sentence."""
        text = self._everyday_headline() if self.advice is None else self._headline_within(self.advice)
        text = "; ".join(filter(None, [text, self.unmeasured]))
        if self.everyday.row is None or not self.why_provisional():
            return text
        return f"Provisional: {text[:1].lower()}{text[1:]}"

    def _everyday_headline(self) -> str:
        answer = self.everyday
        if answer.row is None:
            return f"No file can be recommended: {answer.why[:1].lower()}{answer.why[1:].rstrip('.')}"
        if answer.met:
            return f"Run {answer.row['label']}: {formats.size(answer.row['size_bytes'])}, {answer.why}"
        return f"No file meets the rule for everyday use; {answer.row['label']} comes closest"

    def _headline_within(self, advice: Advice) -> str:
        if advice.best is None:
            return f"{_none_meets(self.among, self.need)} ({self.limits})"
        best = advice.best
        takes = formats.size(best.row["size_bytes"])
        if best.memory is not None:
            takes = f"{takes}, {formats.size(best.n_bytes)} in memory"
        if self.need.min_tps is not None and best.tps is not None:
            takes = f"{takes}, {formats.number(best.tps)} tokens/s"
        tied = "; its speed is tied with the limit" if advice.tied else ""
        run = f"run {best.label}: {takes}, {best.price}"
        return f"Within your limits ({self.limits}) {run}{tied}"

    def remarks(self, scope: Scope, item: Recommendation) -> tuple[str, ...]:
        """Return the remarks on a recommendation."""
        primary = item.need == PRIMARY and self.advice is None
        told = of_recommendation(scope, self.rows, item, primary=primary)
        return (*told, formats.first_up(self.unmeasured)) if primary and self.unmeasured else told

    def in_sentences(self, scope: Scope) -> list[Insight]:
        """Return all answers as sentences: first within the limits, then everyday use, then the other needs."""
        sentences = [self._advice_in_words(scope, self.advice)] if self.advice is not None else []
        for item in sorted(self.recommendations, key=lambda item: item.need != PRIMARY):
            if item.row is None:
                continue
            why = self.why_provisional(item)
            text = f"{item.need}: {item.row['label']} ({formats.size(item.row['size_bytes'])})."
            detail = f"{item.why}; rule: {item.rule}"
            sentence = _sentence(text, detail, why, sure=item.met)
            sentences.append(replace(sentence, remarks=self.remarks(scope, item)))
        return sentences or [Insight(f"No recommendation. {self.everyday.why}", "unknown")]

    def _advice_in_words(self, scope: Scope, advice: Advice) -> Insight:
        limits, remarks = f"Within your limits ({self.limits})", of_advice(scope, advice)
        if advice.best is None:
            told = f"{limits}: no file. {advice.why}"
            return Insight(told, "caution", f"rule: {advice.rule}", remarks=remarks)
        text = f"{limits}: {advice.best.label} ({formats.size(advice.best.n_bytes)})."
        detail = "; ".join(filter(None, [advice.memory, advice.why, f"rule: {advice.rule}"]))
        return replace(_sentence(text, detail, self.why_provisional(), sure=True), remarks=remarks)


def meeting(scope: Scope, wanted: Need, rows: Sequence[Row]) -> frozenset[str]:
    """Return the ids of the files that meet the limits, each model on each device judged by its own files."""
    return _judged(scope, wanted, rows, fitting)


def perhaps_meeting(scope: Scope, wanted: Need, rows: Sequence[Row]) -> frozenset[str]:
    """Return the ids of the files of which it is not known whether they meet the limits."""
    return _judged(scope, wanted, rows, undecided) - meeting(scope, wanted, rows)


def _judged(
    scope: Scope,
    wanted: Need,
    rows: Sequence[Row],
    by: Callable[[Sequence[Candidate], Candidates, Need], Sequence[Candidate]],
) -> frozenset[str]:
    places: dict[tuple[str, str], list[Row]] = {}
    for row in usable(rows):
        places.setdefault((row["model"], row["device"]), []).append(row)
    found: list[Candidate] = []
    for there in places.values():
        among = candidates(scope, there, wanted.context)
        found += by(among.ready, among, wanted)
    return frozenset(str(item.row["variant_id"]) for item in found)


def _none_meets(among: Candidates, wanted: Need) -> str:
    """Say that no file meets the limits, or that it is not known of any, if one was not measured enough."""
    is_open = undecided(among.ready, among, wanted)
    return "No file is known to meet your limits" if is_open else "No file meets your limits"


def _why_none(selected: list[Row], rows: list[Row]) -> str:
    if not selected:
        return "No file is selected."
    failed = [row["label"] for row in selected if row.get("failure")]
    if failed:
        return f"Measured and failed: {formats.listing(failed)}."
    if len(rows) < len(selected):
        return "Every selected file looks broken or was not compared with the baseline."
    return NOT_COMPARED


def _sentence(text: str, detail: str, why_provisional: str, *, sure: bool) -> Insight:
    if why_provisional:
        return Insight(f"Provisional. {text}", "caution", f"{detail}; provisional: {why_provisional}")
    return Insight(text, "finding" if sure else "caution", detail)
