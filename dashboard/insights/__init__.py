"""Compute insights and claims: sentences about the frames, with their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["finding", "tie", "caution", "unknown"]


@dataclass(frozen=True)
class Insight:
    """One sentence about the data at hand.

    `finding`: the data decide it; `tie`: the difference is within its error; `caution`: something the reader
    should know; `unknown`: the data do not decide it. `detail` has the numbers, the rule or the sample size,
    `command` a command line that the reader may copy.
    """

    text: str
    kind: Kind = "finding"
    detail: str = ""
    command: str = ""


Verdict = Literal["holds", "fails", "unknown"]
_WORDING = {"holds": "holds", "fails": "does not hold", "unknown": "undecided"}


@dataclass(frozen=True)
class Claim:
    """A published statement about quantized models, tested on the data at hand.

    The verdict is `unknown` if data are missing or the difference is within its error; `evidence` has the deciding
    number, and the rule if it is not obvious.
    """

    text: str
    verdict: Verdict
    evidence: str

    @property
    def wording(self) -> str:
        """Return the verdict in words."""
        return _WORDING[self.verdict]
