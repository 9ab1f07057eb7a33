"""Stages of a run: what fails in one is reported, and the run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from evaluator.support.errors import words_of
from evaluator.support.progress import RunProgress


@contextmanager
def stage(failed: Callable[[Exception], None]) -> Iterator[None]:
    """Hand what goes wrong in a stage to `failed`, and go on behind it.

    Raises:
        OSError: the disk is full or gone, which would fail every other stage too.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # whatever is wrong with one file, the others go on
        failed(error)


def reporting(progress: RunProgress, what: str) -> Callable[[Exception], None]:
    """For `stage`: print "`what`: the reason"."""
    return lambda error: progress.say(f"{what}: {words_of(error)}", "yellow")
