"""Being interrupted, or told to terminate: one line and status 130, whenever it happens.

Imports nothing that takes time, so that it is there before anything that does.
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
#: Ends the line that a progress bar may have begun, and shows the cursor that it hides.
_TIDY = "\r\x1b[K\x1b[?25h"


@dataclass
class _Ending:
    """What an end at once has to say, unless it is said already."""

    outcome: str = "nothing was changed"
    said: bool = False


_ENDING = _Ending()


def end_at_once() -> None:
    """From here on, an interruption ends the process: right for as long as there is nothing to clear away.

    Imports cannot be left by an exception: extension modules make another error of it, or swallow it.
    """
    for number in _heeded():
        signal.signal(number, _leave)


def stay_to_the_end() -> None:
    """Once all is done and said, let nothing but the interpreter's own end the process, with the status it has.

    While it takes itself apart it has no handlers any more, so that a late interruption would kill it.
    """
    atexit.register(_ignore)


def _ignore() -> None:
    for number in _heeded():
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def interruptible(outcome: str, say: Callable[[str], None]) -> Iterator[None]:
    """Let an interruption end the block by KeyboardInterrupt, so that what is half done is cleared away.

    Whoever interrupts once more does not want to wait for that: the process ends. What it leaves is swept later.

    Args:
        outcome: what has become of the work then.
        say: prints the one line.

    Raises:
        SystemExit: the block was interrupted.
    """
    came = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal came
        came = True
        end_at_once()
        raise KeyboardInterrupt

    _ENDING.outcome = outcome
    before: dict[signal.Signals, Any] = {number: signal.signal(number, interrupt) for number in _heeded()}
    try:
        yield
    except BaseException as error:
        # Within an import, say, the interruption arrives here as another error.
        if not (came or isinstance(error, KeyboardInterrupt)):
            raise
        came = True
    finally:
        if came:
            _ENDING.said = True
            say(f"interrupted: {outcome}")
        for number, handler in before.items():
            signal.signal(number, handler)
        _ENDING.outcome = "the work itself was done"
    if came:
        raise SystemExit(INTERRUPTED)


def _heeded() -> list[signal.Signals]:
    """The signals, but for those that whoever started this process told it to ignore."""
    return [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def _leave(_number: int, _frame: FrameType | None) -> None:
    if not _ENDING.said:
        tidy = _TIDY if os.isatty(_STDERR) else ""
        with contextlib.suppress(OSError):
            os.write(_STDERR, f"{tidy}error: interrupted: {_ENDING.outcome}\n".encode())
    os._exit(INTERRUPTED)
