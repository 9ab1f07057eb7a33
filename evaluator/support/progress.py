"""The progress display of a comparison, on stderr: rate and time left."""

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

    def __enter__(self) -> RunProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def plan(self, tokens: int) -> None:
        """Set the total number of tokens to score."""
        self._progress.update(self._task, total=tokens)

    def step(self, description: str) -> None:
        """Set the description of the current step."""
        self._progress.update(self._task, description=description)

    def advance(self, tokens: int) -> None:
        """Add `tokens` to the number scored."""
        self._progress.advance(self._task, tokens)

    def say(self, message: str, style: str = "") -> None:
        """Print a line that stays on the screen."""
        say(self.console, message, style)
