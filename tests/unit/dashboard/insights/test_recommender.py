"""Which file to run: stated rules on variants written by hand."""

from typing import cast

import pytest
from variant_rows import BAD, GOOD, NONE, NoTokens, row

from dashboard.insights.recommender import Need, advise, recommend, runners_up, smallest_within
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
    sizes = [row("b", f"Q{bits}", bits, 0.0205) for bits in (4.89, 4.91, 5.09, 5.11)]
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


FAST = {"decode_ms_p50": 10.0}
SHELF = [
    row("a", "Q2", 3, 0.5, **FAST),
    row("a", "Q4", 5, 0.02, decode_ms_p50=20.0),
    row("b", "Q4", 5.2, 0.03, decode_ms_p50=15.0),
    row("a", "Q8", 8, 0.001, decode_ms_p50=40.0),
]


def advice(**need: float) -> tuple[str | None, str | None]:
    found = advise(SHELF, Need(**need))
    return (found.best and found.best["label"], found.runner_up and found.runner_up["label"])


def test_advice_takes_the_closest_that_fits() -> None:
    assert advice(budget_gb=1) == ("a Q8", "a Q4")
    assert advice(floor=0.04) == ("a Q4", "b Q4"), "only quality is limited: the smallest that keeps it"
    assert advice(budget_gb=0.0055) == ("a Q4", "b Q4")
    assert advice(min_tps=60) == ("b Q4", "a Q2")
    assert advice(min_tps=60, floor=0.01) == (None, None)
    assert advice(budget_gb=0.0055, min_tps=90) == ("a Q2", None)


def test_advice_prices_the_next_step() -> None:
    found = advise(SHELF, Need(budget_gb=0.0045))
    assert found.best is SHELF[0]
    # A quarter of the budget more, 1.125 MB, reaches a Q4 (5 MB) and b Q4 (5.2 MB); a Q4 is closer.
    assert "With up to 1.1 MB more: a Q4" in found.next_step
    assert advise(SHELF, Need(budget_gb=1)).next_step == "", "there is no larger file"
    # A quarter of a Q4's 5 MB reaches b Q4 (5.2 MB), which is farther from the baseline.
    assert advise(SHELF, Need(budget_gb=0.005)).next_step == "With up to 1.2 MB more, no file is closer."


@pytest.mark.parametrize(
    ("need", "words"),
    [
        (Need(budget_gb=0.001), "No file is that small: the smallest, a Q2, takes 3.0 MB"),
        (Need(min_tps=1000), "No file is that fast: the fastest, a Q2, decodes 100 tokens/s"),
        (Need(floor=0.0001), "the nearest is a Q8"),
        (Need(budget_gb=0.004, floor=0.01), "no file meets them all"),
    ],
)
def test_advice_names_the_obstacle(need: Need, words: str) -> None:
    found = advise(SHELF, need)
    assert found.best is None
    assert words in found.why


def test_advice_without_times_or_variants_says_so() -> None:
    assert "Speed was not measured" in advise(GOOD, Need(min_tps=1)).why
    assert advise([], Need()).best is None
    assert "at most 1.50 GB and at least 20.0 tokens/s" in Need(1.5, 20).rule
