"""Errors that a user can act on: each names the file, the reason and, if there is one, the remedy."""

from __future__ import annotations

from pathlib import Path

#: Messages quote names from files, which may be as long as the file.
_MAX_CHARACTERS = 1000


def one_line(text: str) -> str:
    """Return `text` as one short line that is safe to print: no line ends, no escape sequences."""
    line = " ".join(text[: 2 * _MAX_CHARACTERS].split())
    shown = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line
    )
    return shown if len(shown) <= _MAX_CHARACTERS else f"{shown[:_MAX_CHARACTERS]}…"


def reason_of(error: Exception, source: Path) -> str:
    """Return in one line why `source` could not be used; names the file if it is only a part of the source."""
    if isinstance(error, SourceError):
        return error.reason if error.path == source else f"{error.path.name}: {error.reason}"
    return words_of(error)


def words_of(error: Exception) -> str:
    """Return an error as one line; the type comes first if the message was not written for users."""
    return str(error) if isinstance(error, EvaluatorError) else one_line(f"{type(error).__name__} {error}")


class EvaluatorError(Exception):
    """Base class of errors that are reported as one line, without a traceback."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class RequestError(EvaluatorError):
    """The request was wrong: exit status 2, nothing was measured."""


class SourceError(EvaluatorError):
    """A model file cannot be used; the other variants are still measured."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = Path(path)
        self.reason = one_line(reason)


class ComputeError(EvaluatorError):
    """onnxruntime could not compute: no kernel, too little memory, or another device than requested."""


class ExportError(EvaluatorError):
    """The exporter failed on this architecture or configuration."""
