"""Claims are counted by verdict; those that cannot be tested are counted apart from undecided ones."""

import pytest

from dashboard.insights import Claim, Verdict
from dashboard.insights.tally import Tally

H, F, U, N = "holds", "fails", "unknown", "untestable"


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        ([H, H, H, F, F, U], "3 hold, 2 do not, 1 is undecided"),
        ([H, F, U, U, N], "1 holds, 1 does not, 2 are undecided, 1 cannot be tested here"),
        ([F, N, N], "1 does not hold, 2 cannot be tested here"),
        ([F, F], "2 do not hold"),
        ([], ""),
    ],
)
def test_counts_are_written_without_those_of_none(verdicts: list[Verdict], words: str) -> None:
    tally = Tally.of(Claim("c", verdict, "e") for verdict in verdicts)
    assert tally.words == words
    assert tally.tested == len(verdicts) - verdicts.count(N)


def test_a_count_that_may_change_says_so() -> None:
    tally = Tally.of([Claim("c", "fails", "e")])
    assert tally.told("the run is not finished") == "Provisional: 1 does not hold."
    assert Tally.of([Claim("c", "untestable", "e")]).told() == "1 cannot be tested here."
