"""Say how long a run spent in each of its stages.

The clock of a run is a context variable: the functions that read tensors are many calls below the run, and every
signature between would have to pass it on. Functions that hand work to other threads look the clock up in the thread
that asked, because threads of a pool do not inherit the variable.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Literal

#: `reading` is the time until a tensor's bytes are in memory, `dequantizing` the time to turn them into values.
Stage = Literal["reading", "dequantizing", "computing", "scoring"]


class StageClock:
    """Seconds per stage, added up over the threads that use it.

    Stages within a stage of the same thread count for the inner one only, so with one thread the stages' seconds
    add up to no more than the run's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[Stage, float] = {}
        self._thread = threading.local()

    @property
    def seconds(self) -> dict[Stage, float]:
        """Seconds of each stage that was entered."""
        with self._lock:
            return dict(self._seconds)

    def add(self, stage: Stage, seconds: float) -> None:
        """Count seconds that this thread spent or waited; they no longer count for the stage around the call."""
        with self._lock:
            self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds
        self._thread.within = self._within + seconds

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Count the time of the enclosed code, without that of stages within."""
        before, self._thread.within = self._within, 0.0
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            within, self._thread.within = self._within, before
            self.add(stage, elapsed - within)
            self._thread.within = before + elapsed

    @contextmanager
    def running(self) -> Iterator[StageClock]:
        """Make this the clock of the enclosed code."""
        token = _CURRENT.set(self)
        try:
            yield self
        finally:
            _CURRENT.reset(token)

    @property
    def _within(self) -> float:
        """Seconds already counted within the current stage of this thread."""
        return float(getattr(self._thread, "within", 0.0))


_CURRENT: ContextVar[StageClock | None] = ContextVar("stage_clock", default=None)


def current_clock() -> StageClock | None:
    """Return the clock of the code that calls, None if it has none."""
    return _CURRENT.get()


def in_stage(stage: Stage, clock: StageClock | None = None) -> AbstractContextManager[None]:
    """Count the time of the enclosed code for `clock`, by default the current one, if there is any."""
    clock = clock or current_clock()
    return nullcontext() if clock is None else clock.stage(stage)
