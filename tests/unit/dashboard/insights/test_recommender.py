"""Which file to run for common needs: stated rules on variants written by hand."""

from typing import cast

from variant_rows import BAD, GOOD, NONE, NoTokens, row

from dashboard.insights.recommender import recommend, runners_up, smallest_within
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.results.statistics import Estimate

ALL = Selection()


def test_smallest_within_uses_the_upper_bound() -> None:
    assert smallest_within(GOOD, 0.03) is GOOD[1]
    # +2 % measured, but exp(ln 1.02 + 1.96 × 0.01) − 1 = 4.0 %: not sure.
    unsure = [GOOD[1] | {"ln_ppl_ratio_se": 0.01}, GOOD[2]]
    assert smallest_within(unsure, 0.03) is GOOD[2]
    assert smallest_within(GOOD[:1], 0.03) is None


def test_of_files_of_one_size_the_closest_is_taken() -> None:
    """Bytes of padding and metadata do not decide; 1 % of size does."""
    near, far, larger = (
        row(name, "Q4", 5, rise) | {"size_bytes": size, "kld_mean": kld}
        for name, rise, size, kld in (
            ("near", 0.002, 1_000_500, 0.02),
            ("far", 0.02, 1_000_000, 0.05),
            ("larger", 0.001, 1_010_000, 0.01),
        )
    )
    assert smallest_within([larger, far, near], 0.05) is near
    unsure = far | {"ln_ppl_ratio_se": 0.02}
    (answer,) = [found for found in recommend([near, unsure]) if found.need == "Everyday use"]
    assert answer.row is near
    assert answer.contenders == (), "it is not smaller than the answer"


def test_recommendations() -> None:
    answers = {answer.need: answer for answer in recommend([*GOOD, *BAD])}
    assert answers["Nearly lossless"].row is GOOD[2]
    assert answers["Everyday use"].row is GOOD[1]
    assert answers["Tight on memory"].row is GOOD[1]
    assert all(answer.met for answer in answers.values())


def test_recommendation_when_nothing_keeps_the_rule() -> None:
    answers = recommend([GOOD[0], BAD[0]])
    assert not any(answer.met for answer in answers)
    assert {answer.row["label"] for answer in answers if answer.row} == {"a Q2"}
    assert all(answer.row is None for answer in recommend([]))


def test_runners_up_are_tied_and_of_the_same_size() -> None:
    rival = row("b", "Q4", 5, 0.0205)
    assert runners_up(Scope(NONE, ALL), [*GOOD, rival, BAD[0]], GOOD[1]) == [rival]
    sizes = [row("b", f"Q{bits}", bits, 0.0205) for bits in (4.94, 4.96, 5.04, 5.06)]
    assert runners_up(Scope(NONE, ALL), [*GOOD, *sizes], GOOD[1]) == sizes[1:3]
    assert runners_up(Scope(NONE, ALL), [*GOOD, rival | {"kld_se": None}], GOOD[1]) == []


class Paired(NoTokens):
    """Token files that tell every two variants apart by 0.001 ± 0.0002 nats, far inside each one's own error."""

    def contrast(self, _weights: object, column: str, _selection: object) -> Estimate | None:  # type: ignore[override]
        return Estimate(0.001, 0.0001, 20) if column == "kld" else None


def test_a_tie_is_judged_over_the_same_tokens() -> None:
    rival = row("b", "Q4", 5, 0.0205, kld_se=0.1)
    assert runners_up(Scope(NONE, ALL), [*GOOD, rival], GOOD[1]) == [rival]
    assert runners_up(Scope(cast(Results, Paired()), ALL), [*GOOD, rival], GOOD[1]) == []
