"""Paths as users type them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from evaluator.support.errors import RequestError

#: What is wrong with a path that `is_utf8` does not hold for.
NOT_UTF8 = "not UTF-8, as names in results are; rename the file or folder"


def typed_path(name: str) -> Path:
    """Return the path that a user typed, where a leading `~` or `~user` is a home folder.

    Shells expand it only at the beginning of a word, so not in `--out=~/x`, and nobody does in a file. As in shells,
    the name of no user is left as it is.
    """
    return Path(os.path.expanduser(name))  # noqa: PTH111 (raises if there is no such user, and takes ./~ for ~)


@contextlib.contextmanager
def accessing(path: Path | str) -> Iterator[None]:
    """Turn the error of `Path.is_file` and others, for a path that the system refuses to look at, into one line.

    Raises:
        RequestError: a name is too long, or a folder on the way may not be searched.
    """
    try:
        yield
    except OSError as error:
        raise RequestError(f"{path}: cannot be accessed: {error.strerror or error}") from error


def exists(path: Path) -> bool:
    """Return whether there is something at a path.

    Raises:
        RequestError: the system refuses to look.
    """
    with accessing(path):
        return path.exists()


def is_utf8(path: Path) -> bool:
    """Return whether a path can be written as text; on Linux, names are any bytes."""
    return readable(str(path)) == str(path)


def readable(name: str) -> str:
    """Return a name as text, in which � stands for what is not UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")
