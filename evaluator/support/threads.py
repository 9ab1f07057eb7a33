"""Share work between threads that release the interpreter's lock, on as many cores as the process may use."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


def usable_cores() -> int:
    """Return the number of cores this process may use, which in a container may be fewer than the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Helpers:
    """Threads that help the calling thread; started when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count: int | None = None
        self._pool: ThreadPoolExecutor | None = None

    @property
    def count(self) -> int:
        """Threads that work on a task, the calling thread included."""
        return self._count or usable_cores()

    def use(self, count: int | None) -> None:
        """Set the count; running tasks keep the threads they have."""
        with self._lock:
            self._count = count
            if self._pool is not None:
                self._pool.shutdown(wait=False)
                self._pool = None

    def start(self, work: Callable[[], None], count: int) -> list[Future[None]]:
        """Start `work` on `count` helpers."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(max(1, self.count - 1), thread_name_prefix="rows")
            return [self._pool.submit(work) for _ in range(count)]


_HELPERS = _Helpers()


def use_threads(count: int | None) -> None:
    """Set how many threads `in_blocks` uses; None stands for the usable cores, which is the default.

    Raises:
        ValueError: the count is less than one.
    """
    if count is not None and count < 1:
        raise ValueError(f"{count} threads; at least one is needed")
    _HELPERS.use(count)


def thread_count() -> int:
    """Return how many threads `in_blocks` uses."""
    return _HELPERS.count


def in_blocks(total: int, step: int, work: Callable[[int, int], None]) -> None:
    """Call `work(start, stop)` for consecutive blocks of `step` items out of `total`, of which there is at least one.

    The calling thread takes part, so a call from within `work` cannot wait forever. A single block needs no other
    thread. When a call fails, no further block is begun, and its error is raised after all threads have stopped.
    """
    if total <= step:
        work(0, total)
        return
    starts = iter(range(0, total, step))  # its `next` is atomic
    failed = threading.Event()

    def take_blocks() -> None:
        try:
            for start in starts:
                if failed.is_set():
                    return
                work(start, min(start + step, total))
        except BaseException:
            failed.set()
            raise

    n_helpers = min(thread_count(), -(-total // step)) - 1
    helpers = _HELPERS.start(take_blocks, n_helpers)
    try:
        take_blocks()
    finally:
        started = [helper for helper in helpers if not helper.cancel()]
        errors = [error for helper in started if (error := helper.exception())]
    if errors:
        raise errors[0]
