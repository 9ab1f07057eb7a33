"""One measurement at a time, in a process of its own: start it, follow it, stop it."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Literal

from dashboard.local import LocalError
from dashboard.local.command import for_screen, shown
from dashboard.local.options import environment, program
from dashboard.local.progress import Progress

State = Literal["idle", "running", "stopping", "done", "partly", "stopped", "failed"]
#: Exit statuses of the evaluator.
_DONE, _SOME_FAILED, _INTERRUPTED = 0, 1, 130
#: Seconds that a stopped run may take to end its work at the server's end.
_PATIENCE = 30
_MOST_IN_LINE = 100_000


@dataclass
class _Run:
    """A run, the request that it came from, and what it said."""

    arguments: list[str]
    request: Mapping[str, object]
    process: subprocess.Popen[str]
    progress: Progress = field(default_factory=Progress)
    began: float = field(default_factory=time.monotonic)
    seconds: float | None = None
    stopped: bool = False
    status: int | None = None
    reader: threading.Thread | None = None


class Runner:
    """Runs the evaluator for the screen; the latest run's state stays until the next one."""

    def __init__(self) -> None:
        self._run: _Run | None = None
        self._lock = threading.Lock()

    def start(self, arguments: Sequence[str], request: Mapping[str, object]) -> None:
        """Start `python -m evaluator` with arguments.

        Args:
            arguments: a command of the evaluator and its options, as `arguments_of` returns them.
            request: what the form sent, given back in `state` so that a page can fill the form again.

        Raises:
            LocalError: a run is going on, or the process cannot be started.

        """
        with self._lock:
            if self._run is not None and self._run.status is None:
                raise LocalError("a measurement is running; stop it first, or wait for its end", 409)
            listed = list(arguments)
            try:
                # In a session of its own: Ctrl-C in the terminal ends the server, which then stops the run in order.
                process = subprocess.Popen(
                    program(*for_screen(listed)),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    encoding="utf-8",
                    errors="replace",
                    env=environment(),
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                raise LocalError(f"the evaluator does not start: {error}", 500) from error
            run = _Run(listed, request, process)
            run.reader = threading.Thread(target=self._follow, args=(run,), daemon=True)
            run.reader.start()
            self._run = run

    def stop(self) -> None:
        """Ask the run to end; it keeps what is finished. Asked again, it ends without cleaning up.

        The signal is SIGTERM, which the evaluator treats as Ctrl-C: a server that was started in the background
        ignores SIGINT, and so would its children.

        Raises:
            LocalError: nothing is running.

        """
        with self._lock:
            run = self._run
            if run is None or run.status is not None:
                raise LocalError("no measurement is running", 409)
            run.stopped = True
            run.process.terminate()

    def close(self) -> bool:
        """Stop the run at the server's end and wait for it; return whether one was running."""
        with contextlib.suppress(LocalError):
            self.stop()
            run = self._run
            if run is not None and run.reader is not None:
                run.reader.join(_PATIENCE)
                if run.status is None:
                    run.process.kill()
                    run.reader.join(_PATIENCE)
            return True
        return False

    @property
    def progress(self) -> Progress | None:
        """What the latest run has said, None before the first."""
        return self._run.progress if self._run is not None else None

    def state(self) -> dict[str, Any]:
        """Return the latest run as JSON: `state`, `command`, `request`, `seconds`, and its progress."""
        with self._lock:
            run = self._run
            if run is None:
                return {"state": "idle"}
            seconds = run.seconds if run.seconds is not None else time.monotonic() - run.began
            told = run.progress.as_json()
            return {
                **told,
                "state": _state(run),
                "error": told["error"] or _death(run),
                "command": shown(run.arguments),
                "request": dict(run.request),
                "seconds": round(seconds, 1),
            }

    def _follow(self, run: _Run) -> None:
        """Take in what the run writes, until its end."""
        stream = run.process.stdout
        if stream is not None:
            with stream:
                while line := _line(stream):
                    with self._lock:
                        run.progress.take(line)
        status = run.process.wait()
        with self._lock:
            run.seconds, run.status = time.monotonic() - run.began, status


def _line(stream: IO[str]) -> str:
    """Return the next line with its end, cut if it is very long; empty at the end."""
    return stream.readline(_MOST_IN_LINE)


def _state(run: _Run) -> State:
    if run.status is None:
        return "stopping" if run.stopped else "running"
    if run.status == _DONE:
        return "done"
    if run.status == _INTERRUPTED or (run.stopped and run.status < 0):
        return "stopped"
    return "partly" if run.status == _SOME_FAILED and not run.progress.error else "failed"


def _death(run: _Run) -> str:
    """Return why a run ended that had no time to say it."""
    if run.status is None or run.status in (_DONE, _SOME_FAILED, _INTERRUPTED) or run.stopped:
        return ""
    if run.status < 0:
        return f"signal {-run.status} ended the process, maybe for lack of memory; start it again to resume"
    last = run.progress.log[-1][0] if run.progress.log else "without a message"
    return f"ended with status {run.status}: {last}"
