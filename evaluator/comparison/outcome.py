"""What a run did."""

from __future__ import annotations

from dataclasses import dataclass, field

from evaluator.results.manifest import Failure


@dataclass
class Outcome:
    """What a run measured, reused and could not measure."""

    measured: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    nonfinite: dict[str, int] = field(default_factory=dict)
