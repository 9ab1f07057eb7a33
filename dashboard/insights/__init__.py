"""Computed findings: sentences made from the frames, with their uncertainty."""

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
