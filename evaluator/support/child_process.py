"""Modules of this package in processes of their own, which may crash or take memory without harm to this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

#: Status of a process that was killed, where signals have numbers.
_KILLED = -9


class ChildError(Exception):
    """A process that failed: `status` is how it ended, the message the last line that it said."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__((said.strip().splitlines() or ["no message"])[-1])
        self.status = status


def run_module(module: str, *arguments: str, given: str | None = None, seconds: float | None = None) -> str:
    """Run `python -m module` with `given` on its stdin and return what it printed.

    Without telemetry, hub and tokenizer threads.

    Raises:
        ChildError: it ended with another status than 0, or was killed because it took more than `seconds`.
    """
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    settings = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": path}
    try:
        result = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            input=given,
            capture_output=True,
            text=True,
            env=os.environ | settings,
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise ChildError(_KILLED, f"stopped after {seconds:.0f} seconds") from None
    if result.returncode:
        raise ChildError(result.returncode, result.stderr)
    return result.stdout
