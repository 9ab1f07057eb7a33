"""Stages of a run: a failure in one is reported, and the run continues."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from evaluator.support.errors import words_of
from evaluator.support.progress import RunProgress


@contextmanager
def stage(failed: Callable[[Exception], None]) -> Iterator[None]:
    """Pass an error of the enclosed stage to `failed` and continue after it.

    Raises:
        OSError: the disk is full or gone, so every other stage would fail too.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # an error of any kind in one file must not stop the others
        failed(error)


def reporting(progress: RunProgress, subject: str) -> Callable[[Exception], None]:
    """Return a handler for `stage` that prints `subject` and the error's reason."""
    return lambda error: progress.say(f"{subject}: {words_of(error)}", "yellow")
