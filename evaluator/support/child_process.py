"""Run modules of this package in child processes, so that a crash or its memory does not affect this process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

#: Exit status of a killed process on POSIX: minus the signal's number.
_KILLED = -9


class ChildError(Exception):
    """A child process failed: `status` is its exit status, the message the last line of its stderr."""

    def __init__(self, status: int, stderr: str) -> None:
        super().__init__((stderr.strip().splitlines() or ["no message"])[-1])
        self.status = status


def run_module(module: str, *arguments: str, given: str | None = None, seconds: float | None = None) -> str:
    """Run `python -m module` with `given` on its stdin and return its stdout.

    The child may not use the Hugging Face hub's network, nor the tokenizers library's threads.

    Raises:
        ChildError: the exit status is not 0, or the process was killed after `seconds`.
    """
    try:
        result = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            input=given,
            capture_output=True,
            text=True,
            env=_environment(),
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise ChildError(_KILLED, f"stopped after {seconds:.0f} seconds") from None
    if result.returncode:
        raise ChildError(result.returncode, result.stderr)
    return result.stdout


def module_process(module: str, *arguments: str, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start `python -m module` with pipes at its stdin and stdout, and its stderr in a file."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=_environment(),
    )


def _environment() -> dict[str, str]:
    """Return the environment of a child: this package is found, and ggml prints no trace of a crash."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    return os.environ | offline | {"PYTHONPATH": path, "GGML_NO_BACKTRACE": "1"}
