"""One progress display for a whole comparison, on stderr: rate and time left."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task
from rich.progress import TimeRemainingColumn as TimeLeft
from rich.text import Text

from evaluator.support.terminal import Description, say


class _TokenRate(ProgressColumn):
    """Scored tokens per second."""

    def render(self, task: Task) -> Text:
        """Rate of a running task, empty before it is known."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} tokens/s" if speed else "", style="cyan")


class RunProgress:
    """Shows how many tokens of all variants are scored; `say` prints a line above it."""

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

    def __enter__(self) -> RunProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def plan(self, tokens: int) -> None:
        """Announce how many tokens there are to score in all."""
        self._progress.update(self._task, total=tokens)

    def step(self, description: str) -> None:
        """Name what is going on."""
        self._progress.update(self._task, description=description)

    def advance(self, tokens: int) -> None:
        """Report scored tokens."""
        self._progress.advance(self._task, tokens)

    def say(self, message: str, style: str = "") -> None:
        """Print one line that stays."""
        say(self.console, message, style)
