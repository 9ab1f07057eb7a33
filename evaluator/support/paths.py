"""Paths as users type them."""

from __future__ import annotations

import os
from pathlib import Path


def typed_path(name: str) -> Path:
    """Return the path that a user typed, where a leading `~` or `~user` is a home folder.

    Shells expand it only at the beginning of a word, so not in `--out=~/x`, and nobody does in a file. As in shells,
    the name of no user is left as it is.
    """
    return Path(os.path.expanduser(name))  # noqa: PTH111 (raises if there is no such user, and takes ./~ for ~)
