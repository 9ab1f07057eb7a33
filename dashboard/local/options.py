"""The evaluator's commands and their options, as the evaluator itself describes them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from dashboard.local import LocalError

Kind = Literal["flag", "integer", "number", "text", "path"]
#: Packages without which nothing is measured; the dashboard itself needs none of them.
_NEEDED = ("gguf", "onnx", "onnxruntime", "tokenizers", "torch", "transformers")
_SECONDS = 120
#: Names of options on the page, where they are not the option's own.
_LABELS = {
    "variant": "Variants",
    "text": "Texts",
    "out": "Results folder",
    "chunks": "Windows per text",
    "context": "Tokens per window",
    "kv_cache": "Types of the cache",
    "pre": "Pre-tokenizer",
    "comparison": "Comparison file",
}


class Option(BaseModel):
    """An option of a command; `flag` is None for an argument without one."""

    model_config = ConfigDict(frozen=True)

    name: str
    flag: str | None
    kind: Kind
    repeated: bool = False
    required: bool = False
    default: str | None = None
    min: float | None = None
    max: float | None = None
    help: str = ""
    known: Sequence[str] = ()

    @property
    def label(self) -> str:
        """The option's name on the page."""
        return _LABELS.get(self.name) or self.name.capitalize().replace("_", " ")


class Command(BaseModel):
    """A command of the evaluator."""

    model_config = ConfigDict(frozen=True)

    help: str
    options: Sequence[Option]


class _Described(BaseModel):
    commands: Mapping[str, Command]


def is_installed() -> bool:
    """Return whether the packages that measuring needs are there, without importing them."""
    return all(find_spec(name) is not None for name in _NEEDED)


def program(*arguments: str) -> list[str]:
    """Return the evaluator's program and arguments; a folder named `evaluator` in the working folder is not it."""
    return [sys.executable, "-P", "-m", "evaluator", *arguments]


def environment() -> dict[str, str]:
    """Return the environment in which the evaluator that belongs to this dashboard is found."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    return os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}


class Options:
    """Commands and options, asked for once."""

    def __init__(self) -> None:
        self._commands: Mapping[str, Command] | None = None
        self._lock = threading.Lock()

    def commands(self) -> Mapping[str, Command]:
        """Return the commands that can be run from the screen, by name.

        Raises:
            LocalError: the evaluator does not start; the message is its own.

        """
        with self._lock:
            if self._commands is None:
                self._commands = _ask()
            return self._commands

    def command(self, name: object) -> tuple[str, Command]:
        """Return a command's name and its description.

        Raises:
            LocalError: there is none of that name.

        """
        commands = self.commands()
        if not isinstance(name, str) or name not in commands:
            raise LocalError(f"there is no command {str(name)[:40]!r}")
        return name, commands[name]


def _ask() -> Mapping[str, Command]:
    try:
        answer = subprocess.run(
            program("options"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=environment(),
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LocalError(f"the evaluator does not start: {error}", 500) from error
    if answer.returncode:
        reason = (answer.stderr.strip().splitlines() or [f"exit status {answer.returncode}"])[-1]
        raise LocalError(f"the evaluator does not start: {reason.removeprefix('error: ')}", 500)
    try:
        return _Described.model_validate(json.loads(answer.stdout)).commands
    except (ValueError, ValidationError) as error:
        raise LocalError("the evaluator describes its options in an unknown way", 500) from error
