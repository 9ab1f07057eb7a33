"""Compute findings: sentences made from the frames, with their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["finding", "tie", "caution", "unknown"]


@dataclass(frozen=True)
class Insight:
    """One sentence about the data at hand.

    `finding`: the data decide it; `tie`: the difference is inside its error; `caution`: something a reader
    must know; `unknown`: the data cannot tell. `detail` carries the numbers, the rule or the sample size.
    """

    text: str
    kind: Kind = "finding"
    detail: str = ""


Verdict = Literal["holds", "fails", "unknown"]
_WORDING = {"holds": "holds", "fails": "does not hold", "unknown": "cannot be told"}


@dataclass(frozen=True)
class Claim:
    """A sentence that somebody said of such data, put to the test on the data at hand.

    `unknown` when the data are missing or the difference is inside its error; `evidence` carries the
    deciding number, and the rule where it is not plain.
    """

    text: str
    verdict: Verdict
    evidence: str

    @property
    def wording(self) -> str:
        """Return the verdict in words."""
        return _WORDING[self.verdict]
