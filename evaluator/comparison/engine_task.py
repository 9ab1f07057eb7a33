"""What is measured of one variant in one engine."""

from __future__ import annotations

from dataclasses import dataclass

from evaluator.engines import Case, Engine
from evaluator.planning.plan import Candidate

#: A round is one load, one prefill and up to 32 decoded tokens per variant; the first may decode at further depths.
ROUNDS = 3


@dataclass(frozen=True)
class EngineTask:
    """What is measured of a variant in an engine: times, losses, and types of the cache in `cache_rounds` each."""

    name: str
    engine: Engine
    item: Candidate
    case: Case
    times: bool
    losses: bool
    caches: tuple[str, ...]
    cache_rounds: int = 0

    @property
    def label(self) -> str:
        """The variant's and the engine's name."""
        return f"{self.item.label}, {self.name}"

    @property
    def disk_bytes(self) -> float:
        """The bytes that making it ready may write."""
        return self.engine.disk_bytes(self.case)

    @property
    def n_timings(self) -> int:
        """How many rounds time the file."""
        return ROUNDS if self.times else 0

    @property
    def n_comparisons(self) -> int:
        """How many measurements follow: of losses, and the rounds and losses of types of the cache."""
        return self.losses + len(self.caches) * (self.cache_rounds + 1)
