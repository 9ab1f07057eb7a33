"""Count claims by verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from dashboard.insights import Claim
from dashboard.style import formats

#: What the counts are of, for readers of the board.
MEANING = (
    "Undecided: the difference is within its error. Cannot be tested here: a file or a measurement "
    "is missing, which each of these claims names."
)


@dataclass(frozen=True)
class Tally:
    """How many claims hold, do not hold, are undecided, and cannot be tested on the selected files."""

    holds: int
    fails: int
    undecided: int
    untestable: int

    @classmethod
    def of(cls, claims: Iterable[Claim]) -> Tally:
        """Count claims."""
        found = Counter(claim.verdict for claim in claims)
        return cls(found["holds"], found["fails"], found["unknown"], found["untestable"])

    @property
    def tested(self) -> int:
        """How many could be tested."""
        return self.holds + self.fails + self.undecided

    def told(self, provisional: str = "") -> str:
        """The counts as a sentence, marked as provisional if there is a reason."""
        return f"Provisional: {self.words}." if provisional else f"{formats.first_up(self.words)}."

    @property
    def words(self) -> str:
        """The counts that are not 0, in words: `3 hold, 2 do not, 1 is undecided, 4 cannot be tested here`."""
        counts = (
            (self.holds, "holds", "hold"),
            (
                self.fails,
                "does not" if self.holds else "does not hold",
                "do not" if self.holds else "do not hold",
            ),
            (self.undecided, "is undecided", "are undecided"),
            (self.untestable, "cannot be tested here", "cannot be tested here"),
        )
        return ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts if count)
