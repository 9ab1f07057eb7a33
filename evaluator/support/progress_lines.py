"""The progress of a comparison for programs: a JSON object per line on stderr."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console

from evaluator.support.errors import one_line
from evaluator.support.progress import RunProgress

#: How the progress of a run is shown: for people, or as lines of JSON.
Display = Literal["text", "json"]
#: Seconds between two lines about the same file.
_TELL_EVERY = 0.5


def run_progress(console: Console, display: Display) -> RunProgress:
    """Return a display of the progress."""
    return ProgressLines(console) if display == "json" else RunProgress(console)


class ProgressLines(RunProgress):
    """Writes what happens as lines; each has an `event`, described in docs/protocol.md."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._progress.disable = True
        self._lock = threading.Lock()
        self._total = 0
        self._done = 0.0
        self._resumed = 0.0
        self._began: float | None = None

    def begin(self, out: Path) -> None:
        """Tell where the results are written."""
        self._tell("begin", out=str(out.absolute()))

    def stage(self, name: str) -> None:
        """Tell that a stage of the run begins."""
        self._tell("stage", name=name)

    def plan(self, tokens: int, files: Sequence[str] = ()) -> None:
        """Tell how many tokens are to be scored, and the files in their order."""
        self._total = tokens
        self._tell("plan", tokens=tokens, files=list(map(one_line, files)))

    def step(self, description: str) -> None:
        """Tell the current step."""
        self._tell("step", text=one_line(description))

    def task(self, name: str, tokens: int) -> Callable[[float, str], None]:
        """Return a function that takes the finished share of scoring `tokens` tokens and where it stands.

        The time left is that of all tokens of the plan, at the rate since the first share that was computed now.
        """
        share_before: float | None = None
        told = float("-inf")

        def advance(share: float, where: str) -> None:
            nonlocal share_before, told
            with self._lock:
                now = time.monotonic()
                if share_before is None:
                    # What an interrupted run has done costs no time now, so it does not count for the rate.
                    self._began = now if self._began is None else self._began
                    self._resumed += tokens * share
                    self._done += tokens * share
                else:
                    self._done += tokens * (share - share_before)
                share_before = share
                if now - told < _TELL_EVERY and share < 1:
                    return
                told = now
                self._tell(
                    "scored",
                    file=one_line(name),
                    where=one_line(where),
                    share=share,
                    tokens=round(self._done),
                    left=self._seconds_left(now),
                )

        return advance

    def say(self, message: str, style: str = "") -> None:
        """Tell a message; `level` is info, warning or failure."""
        level = {"yellow": "warning", "red": "failure"}.get(style, "info")
        self._tell("say", text=one_line(message), level=level)

    def _tell_rounds(self, name: str, done: int, total: int, left: float | None) -> None:
        """Tell how many rounds are done, and the seconds left for the others."""
        seconds = None if left is None else round(left, 1)
        self._tell("rounds", name=name, done=done, total=total, left=seconds)

    def _seconds_left(self, now: float) -> float | None:
        scored = self._done - self._resumed
        if self._began is None or scored <= 0:
            return None
        return round((now - self._began) * max(self._total - self._done, 0.0) / scored, 1)

    def _tell(self, event: str, **values: object) -> None:
        line = json.dumps({"event": event, **values}, ensure_ascii=True)
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)
