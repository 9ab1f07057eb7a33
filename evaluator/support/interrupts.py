"""Handle SIGINT and SIGTERM: print one line and exit with status 130, at any time.

This module imports only fast modules, so that the handlers are installed before the slow imports begin.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STDERR = 2
#: Clears a progress bar's line and shows the cursor, which the bar hides.
_CLEAR_LINE = "\r\x1b[K\x1b[?25h"


@dataclass
class _Report:
    """The line to print when a signal ends the process, and whether it was printed."""

    outcome: str = "nothing was changed"
    printed: bool = False


_REPORT = _Report()


def end_at_once() -> None:
    """Make signals end the process immediately, for phases in which nothing has to be cleaned up.

    An exception does not work during imports: extension modules swallow it or raise another error.
    """
    for number in _handled_signals():
        signal.signal(number, _exit_now)


def stay_to_the_end() -> None:
    """Ignore signals while the interpreter shuts down, so that the process keeps its exit status.

    The interpreter removes its handlers then, so a late signal would kill the process.
    """
    atexit.register(_ignore)


def _ignore() -> None:
    for number in _handled_signals():
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def interruptible(outcome: str, say: Callable[[str], None]) -> Iterator[None]:
    """Raise KeyboardInterrupt in the block when a signal comes, so that unfinished work is cleaned up.

    A second Ctrl-C exits at once; the next run cleans up.

    Args:
        outcome: what the line says about the state of the work.
        say: prints the line.

    Raises:
        SystemExit: the block was interrupted.
    """
    interrupted = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        end_at_once()
        raise KeyboardInterrupt

    _REPORT.outcome = outcome
    earlier: dict[signal.Signals, Any] = {
        number: signal.signal(number, interrupt) for number in _handled_signals()
    }
    try:
        yield
    except BaseException as error:
        # Extension modules may turn the KeyboardInterrupt into another error, for instance during an import.
        if not (interrupted or isinstance(error, KeyboardInterrupt)):
            raise
        interrupted = True
    finally:
        if interrupted:
            _REPORT.printed = True
            say(f"interrupted: {outcome}")
        for number, handler in earlier.items():
            signal.signal(number, handler)
        _REPORT.outcome = "the work itself was done"
    if interrupted:
        raise SystemExit(INTERRUPTED)


def _handled_signals() -> list[signal.Signals]:
    """Return the signals to handle: not those that the parent process set to be ignored."""
    return [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def _exit_now(_number: int, _frame: FrameType | None) -> None:
    if not _REPORT.printed:
        clear = _CLEAR_LINE if os.isatty(_STDERR) else ""
        with contextlib.suppress(OSError):
            os.write(_STDERR, f"{clear}error: interrupted: {_REPORT.outcome}\n".encode())
    os._exit(INTERRUPTED)
