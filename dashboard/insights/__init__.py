"""Compute insights and claims: sentences about the frames, with their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["finding", "tie", "caution", "unknown", "note"]


@dataclass(frozen=True)
class Insight:
    """One sentence about the data at hand.

    `finding`: the data decide it; `tie`: the difference is within its error; `caution`: something the reader
    should know; `unknown`: the data do not decide it; `note`: how it was measured or drawn. `detail` has the numbers,
    the rule or the sample size, `command` a command line that the reader may copy. `effect` is the size of what the
    sentence is about, the natural log of the ratio of losses or errors that it compares, such as 0.69 for twice as
    much; 0 if it has none. `remarks` are short lines that belong to it. `about` is the model or device that all
    statements of the page are about, of the sentence that says so.
    """

    text: str
    kind: Kind = "finding"
    detail: str = ""
    command: str = ""
    effect: float = 0.0
    remarks: tuple[str, ...] = ()
    about: str = ""


Verdict = Literal["holds", "fails", "unknown", "untestable"]
_WORDING = {
    "holds": "holds",
    "fails": "does not hold",
    "unknown": "undecided",
    "untestable": "cannot be tested here",
}


@dataclass(frozen=True)
class Claim:
    """A published statement about quantized models, tested on the data at hand.

    The verdict is `unknown` if the difference is within its error, and `untestable` if the selected files cannot
    show it: no such method or bits, too few files, or a measurement that was not made. `evidence` has the deciding
    number, and the rule if it is not obvious; of a claim that cannot be tested it ends with what is missing.
    """

    text: str
    verdict: Verdict
    evidence: str

    @property
    def wording(self) -> str:
        """Return the verdict in words."""
        return _WORDING[self.verdict]
