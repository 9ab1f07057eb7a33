"""List a folder for a field that wants a path: names of folders, and of the files that may be meant."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, get_args

from dashboard.local import LocalError
from evaluator.results.files import MANIFEST_NAME

Wanted = Literal["model", "text", "results"]
_ENDINGS = {
    "model": (".gguf",),
    "text": (".txt", ".raw", ".md", ".jsonl"),
    "results": (),
}
_MOST_NAMES = 2000


def listing(folder: object, wanted: object) -> dict[str, Any]:
    """Return `folder`, `parent`, `folders` and `files` of a folder; nothing of what files hold is read.

    A path that is no folder, such as a file or the beginning of a name, lists the folder around it. Hidden names and
    names that cannot be shown are left out. `results` names the folders that hold results.

    Args:
        folder: a path, relative to the working folder, or with `~`; empty for the working folder.
        wanted: which files are listed.

    Raises:
        LocalError: the folder cannot be read.

    """
    if not isinstance(folder, str) or "\0" in folder or wanted not in get_args(Wanted):
        raise LocalError("a folder and what is wanted in it are needed")
    path = _folder(folder)
    folders, files, results = [], [], []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.startswith(".") or not entry.name.isprintable():
                    continue
                if entry.is_dir():
                    folders.append(entry.name)
                    if (Path(entry.path) / MANIFEST_NAME).is_file():
                        results.append(entry.name)
                elif entry.name.lower().endswith(_ENDINGS[str(wanted)]):
                    files.append(entry.name)
    except OSError as error:
        raise LocalError(f"{path}: cannot be read: {error.strerror or error}") from error
    return {
        "folder": str(path),
        "parent": str(path.parent) if path.parent != path else "",
        "folders": sorted(folders, key=str.lower)[:_MOST_NAMES],
        "files": sorted(files, key=str.lower)[:_MOST_NAMES],
        "results": sorted(results, key=str.lower)[:_MOST_NAMES],
    }


def _folder(named: str) -> Path:
    try:
        path = Path(named.strip() or ".").expanduser().absolute()
        while not path.is_dir() and path != path.parent:
            path = path.parent
    except (OSError, RuntimeError) as error:
        raise LocalError(f"{named[:200]}: {error}") from error
    return path
