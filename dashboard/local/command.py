"""Build a command from the values of a form: a list of arguments, never a line for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from dashboard.local import LocalError
from dashboard.local.options import Command, Option

#: Options about what the command prints; the screen reads the progress itself.
PRINTING = frozenset({"progress", "as_json"})
_READ_BY_PROGRAMS = "--progress=json"
_MOST_CHARACTERS, _MOST_VALUES = 4096, 500


def arguments_of(name: str, command: Command, values: object) -> list[str]:
    """Return the arguments of a command for values by option; empty values are left out.

    A value stays in one argument with its flag, so that it is never read as another flag.

    Args:
        name: the command.
        command: its description.
        values: text, true, or a list of texts, by option.

    Raises:
        LocalError: an option is unknown, or a value is not of its kind.

    """
    if not isinstance(values, Mapping):
        raise LocalError("the values are not a JSON object")
    known = {option.name for option in command.options}
    if unknown := [str(key) for key in values if key not in known]:
        raise LocalError(f"{name} has no option {unknown[0][:40]!r}")
    flags: list[str] = [name]
    positional: list[str] = []
    for option in command.options:
        for text in _texts(option, values.get(option.name)):
            if option.flag is None:
                positional.append(text)
            else:
                flags.append(f"{option.flag}={text}" if option.kind != "flag" else option.flag)
    return [*flags, *(["--", *positional] if positional else [])]


def for_screen(arguments: list[str]) -> list[str]:
    """Return the arguments with which the command says in lines of JSON how far it is."""
    return [arguments[0], _READ_BY_PROGRAMS, *arguments[1:]]


def shown(arguments: list[str]) -> str:
    """Return the line to type into a terminal of this machine."""
    return shlex.join(["python", "-m", "evaluator", *arguments])


def _texts(option: Option, value: Any) -> list[str]:
    """Return the texts of an option's values; of a flag that is set, one empty text."""
    if option.kind == "flag":
        if value not in (None, True, False):
            raise LocalError(f"{option.label}: is either on or off")
        return [""] if value else []
    values = value if isinstance(value, list) else [] if value is None else [value]
    if len(values) > (_MOST_VALUES if option.repeated else 1):
        raise LocalError(f"{option.label}: too many values")
    return [text for text in (_text(option, item) for item in values) if text]


def _text(option: Option, value: Any) -> str:
    if not isinstance(value, str):
        raise LocalError(f"{option.label}: is not a text")
    text = value.strip()
    if len(text) > _MOST_CHARACTERS or "\0" in text:
        raise LocalError(f"{option.label}: is too long, or holds a character that no name has")
    if text and option.kind in ("integer", "number"):
        try:
            int(text) if option.kind == "integer" else float(text)
        except ValueError:
            what = "a whole number" if option.kind == "integer" else "a number"
            raise LocalError(f"{option.label}: {text[:40]} is not {what}") from None
    return text
