"""What is measured of one variant in one engine."""

from __future__ import annotations

from dataclasses import dataclass

from evaluator.engines import Case, Engine
from evaluator.planning.plan import Candidate


@dataclass(frozen=True)
class EngineTask:
    """What is measured of a variant in an engine: `rounds` of times, losses, and types of the cache.

    A round is one load, one prefill and up to 32 decoded tokens; the first may decode at further depths. Each type of
    the cache is timed in `cache_rounds`.
    """

    name: str
    engine: Engine
    item: Candidate
    case: Case
    losses: bool
    caches: tuple[str, ...]
    rounds: int = 0
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
    def times(self) -> bool:
        """Whether the file is timed."""
        return self.rounds > 0

    @property
    def n_comparisons(self) -> int:
        """How many measurements follow: of losses, and the rounds and losses of types of the cache."""
        return self.losses + len(self.caches) * (self.cache_rounds + 1)
