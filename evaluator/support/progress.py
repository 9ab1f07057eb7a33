"""The progress display of a comparison, on stderr: rate and time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task
from rich.progress import TimeRemainingColumn as TimeLeft
from rich.text import Text

from evaluator.support.rounds import Rounds
from evaluator.support.terminal import Description, say

#: Seconds between lines on a log.
_TELL_EVERY = 30


def duration(seconds: float) -> str:
    """Return a duration in words."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


class _TokenRate(ProgressColumn):
    """Scored tokens per second."""

    def render(self, task: Task) -> Text:
        """Return the rate of a running task, empty until it is known."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} tokens/s" if speed else "", style="cyan")


class RunProgress:
    """The number of tokens scored over all variants; `say` prints a line above the bar."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._progress = Progress(
            Description(),
            BarColumn(),
            MofNCompleteColumn(),
            _TokenRate(),
            TimeLeft(),
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=120,
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=None)
        self._pace, self._told = "", time.monotonic()

    def __enter__(self) -> RunProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, out: Path) -> None:
        """Take the folder in which the results are written; the bar does not show it."""

    def stage(self, name: str) -> None:
        """Begin a stage of the run: the bar shows it as a step."""
        self._pace = ""
        self.step(name)

    def plan(self, tokens: int, files: Sequence[str] = ()) -> None:
        """Set the total number of tokens to score, and the files that are scored."""
        self._progress.update(self._task, total=tokens)

    def step(self, description: str) -> None:
        """Set the description of the current step; of one of several rounds, with the time left for them."""
        self._progress.update(self._task, description=f"{description}{self._pace}")

    def rounds(self, name: str, total: int) -> Rounds:
        """Return the count of `total` rounds of work that `name` says."""
        return Rounds(total, partial(self._tell_rounds, name))

    def task(self, name: str, tokens: int) -> Callable[[float, str], None]:
        """Return a function that takes the finished share of scoring `tokens` tokens and where it stands.

        Where no bar is shown, it prints a line every half minute.
        """
        done, began, told = 0.0, time.monotonic(), time.monotonic()

        def advance(share: float, where: str) -> None:
            nonlocal done, told
            self.step(f"{name}: {where}")
            self._progress.advance(self._task, tokens * (share - done))
            done = share
            now = time.monotonic()
            if not self.console.is_terminal and now - told >= _TELL_EVERY and 0 < share < 1:
                told = now
                left = (now - began) * (1 - share) / share
                self.say(f"{name}: {where}, about {duration(left)} left")

        return advance

    def _tell_rounds(self, name: str, done: int, total: int, left: float | None) -> None:
        """Add the time left to the steps that follow; where no bar is shown, print it every half minute."""
        pace = "" if left is None or done >= total else f"{done} of {total}, about {duration(left)} left"
        self._pace = f" ({pace})" if pace else ""
        now = time.monotonic()
        if pace and not self.console.is_terminal and now - self._told >= _TELL_EVERY:
            self._told = now
            self.say(f"{name}: {pace}")

    def say(self, message: str, style: str = "") -> None:
        """Print a line that stays on the screen."""
        say(self.console, message, style)
