"""Errors a user can act on: each names the file, the reason and, where there is one, the way out."""

from __future__ import annotations

from pathlib import Path

#: Messages quote names out of files, which may be as long as the file.
_MOST_CHARACTERS = 1000


def one_line(text: str) -> str:
    """`text` as one line that a terminal only shows: no line ends, no escape sequences, no megabytes."""
    line = " ".join(text[: 2 * _MOST_CHARACTERS].split())
    shown = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line
    )
    return shown if len(shown) <= _MOST_CHARACTERS else f"{shown[:_MOST_CHARACTERS]}…"


def reason_of(error: Exception, source: Path) -> str:
    """Why one source could not be used, as one line: its own words where it has some, else what went wrong.

    Where the source is several files, the one that is to blame is named.
    """
    if isinstance(error, SourceError):
        return error.reason if error.path == source else f"{error.path.name}: {error.reason}"
    return words_of(error)


def words_of(error: Exception) -> str:
    """An error as one line: the message, and before it the type of one that was not written for users."""
    return str(error) if isinstance(error, EvaluatorError) else one_line(f"{type(error).__name__} {error}")


class EvaluatorError(Exception):
    """Base of all errors that are reported as one line, without a traceback."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class RequestError(EvaluatorError):
    """The request itself was wrong: exit status 2, nothing was measured."""


class SourceError(EvaluatorError):
    """One model file cannot be used; other variants go on."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = Path(path)
        self.reason = one_line(reason)


class ComputeError(EvaluatorError):
    """onnxruntime could not compute: no kernel, too little memory, or not the device that was asked for."""


class ExportError(EvaluatorError):
    """The exporter failed on this architecture or configuration."""
