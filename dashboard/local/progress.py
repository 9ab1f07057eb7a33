"""How far a run is, from the lines that the evaluator writes (docs/protocol.md, progress for programs)."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_MOST_LINES = 400
_ERROR = "error: "


@dataclass
class FileProgress:
    """A file that the run scores: finished share, and where it stands."""

    name: str
    share: float = 0.0
    where: str = ""


@dataclass
class Progress:
    """What a run has said so far.

    Attributes:
        out: results folder, once the run has said it.
        stages: stages in the order in which they began; the last is the current one.
        step: what is being done.
        files: files to score, in their order.
        tokens, total: scored tokens and those of the plan.
        left: seconds for the rest of the plan, None until known.
        rounds: name, done, total and seconds left of the rounds that are run in engines, empty before.
        log: latest messages with their levels.
        error: why the run ended, if it said so.
    """

    out: Path | None = None
    stages: list[str] = field(default_factory=list)
    step: str = ""
    files: list[FileProgress] = field(default_factory=list)
    tokens: int = 0
    total: int = 0
    left: float | None = None
    rounds: dict[str, Any] = field(default_factory=dict)
    log: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=_MOST_LINES))
    error: str = ""

    def take(self, line: str) -> None:
        """Take in a line; one that is not an event is a message."""
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        try:
            if isinstance(event, dict) and "event" in event:
                self._event(event)
                return
        except (KeyError, TypeError, ValueError):  # an event of another version is shown as it is
            pass
        self._message(line.strip())

    def as_json(self) -> dict[str, Any]:
        """Return the state as JSON."""
        return {
            "out": str(self.out) if self.out else "",
            "stages": self.stages,
            "step": self.step,
            "files": [vars(file) for file in self.files],
            "tokens": self.tokens,
            "total": self.total,
            "left": self.left,
            "rounds": self.rounds,
            "log": [{"text": text, "level": level} for text, level in self.log],
            "error": self.error,
        }

    def _message(self, text: str) -> None:
        if text.startswith(_ERROR):
            self.error = text.removeprefix(_ERROR)
        if text:
            self.log.append((text, "failure" if text.startswith(_ERROR) else "info"))

    def _event(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "begin":
                self.out = Path(str(event["out"]))
            case "stage":
                self.stages.append(str(event["name"]))
                self.step = ""
                self.rounds = {}
            case "step":
                self.step = str(event["text"])
            case "plan":
                self.total = int(event["tokens"])
                self.files = [FileProgress(str(name)) for name in event["files"]]
            case "scored":
                self._scored(event)
            case "rounds":
                self.rounds = {
                    "name": str(event["name"]),
                    "done": int(event["done"]),
                    "total": int(event["total"]),
                    "left": None if event["left"] is None else float(event["left"]),
                }
            case "say":
                self.log.append((str(event["text"]), str(event["level"])))

    def _scored(self, event: dict[str, Any]) -> None:
        self.tokens = int(event["tokens"])
        self.left = None if event["left"] is None else float(event["left"])
        for file in self.files:
            if file.name == event["file"]:
                file.share, file.where = float(event["share"]), str(event["where"])
