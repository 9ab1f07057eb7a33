"""Count rounds of about equal work, and estimate the time left from those done now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Rounds:
    """Rounds done of a number that is known; `tell` takes the two numbers and the seconds left, None until known."""

    def __init__(self, total: int, tell: Callable[[int, int, float | None], None]) -> None:
        self._total, self._tell = total, tell
        self._done = self._timed = 0
        self._seconds = 0.0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Time a round and count it, also if it fails."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._seconds += time.monotonic() - began
            self._timed += 1
            self.skip()

    @contextmanager
    def part(self, n: int) -> Iterator[None]:
        """Count `n` rounds as done in the end, also those that a failed file no longer needs."""
        end = self._done + n
        try:
            yield
        finally:
            if self._done < end:
                self.skip(end - self._done)

    def skip(self, n: int = 1) -> None:
        """Count rounds that take no time now, such as those of an interrupted run."""
        self._done += n
        left = self._seconds / self._timed * max(self._total - self._done, 0) if self._timed else None
        self._tell(self._done, self._total, left)
