"""Errors a user can act on: each names the file, the reason and, where there is one, the way out."""

from __future__ import annotations

from pathlib import Path


class EvaluatorError(Exception):
    """Base of all errors that are reported as one line, without a traceback."""


class RequestError(EvaluatorError):
    """The request itself was wrong: exit status 2, nothing was measured."""


class SourceError(EvaluatorError):
    """One model file cannot be used; other variants go on."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = Path(path)
        self.reason = reason


class ExportError(EvaluatorError):
    """The exporter failed on this architecture or configuration."""
