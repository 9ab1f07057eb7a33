"""Serve results folders: each is opened on first use, and reopened when its files change."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from dashboard.results.folder import EmptyRunError, ResultsError
from dashboard.results.results import Results
from evaluator.results.files import FRAMES, MANIFEST_NAME, TOKENS

_WATCHED = (MANIFEST_NAME, *(file.place for file in FRAMES))
_SUFFIX = ".parquet"


class Library:
    """Folders by name: the folder's own name, with its parent's if two are equal."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Serve `folders`, the first of them by default."""
        self._folders = dict(zip(_names(folders), folders, strict=True))
        self._open: dict[str, tuple[str, Results]] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """Names of all folders, in the order of the command line."""
        return list(self._folders)

    def name_of(self, name: str) -> str:
        """Return `name`, or the first folder's name if it is unknown."""
        return name if name in self._folders else self.names[0]

    def folder(self, name: str) -> Path:
        """Return a folder's path."""
        return self._folders[self.name_of(name)]

    def add(self, folder: Path) -> str:
        """Serve one more folder, and return its name; other folders keep theirs.

        Raises:
            ResultsError: the folder cannot be shown; one whose run has measured nothing yet can.

        """
        resolved = folder.resolve()
        if known := self._known(resolved):
            return known
        with suppress(EmptyRunError):
            Results.open(folder)
        names = [resolved.name, f"{resolved.parent.name}/{resolved.name}", str(resolved)]
        with self._lock:
            if known := self._known(resolved):  # added by another request while this one opened it
                return known
            name = next(name for name in names if name and name not in self._folders)
            self._folders[name] = folder
        return name

    def _known(self, resolved: Path) -> str:
        """Return the name under which a folder is served; empty if it is not."""
        folders = list(self._folders.items())  # another request may be adding one
        return next((name for name, path in folders if path.resolve() == resolved), "")

    def version(self, name: str) -> str:
        """Return a string that changes when a file of the folder changes."""
        folder = self.folder(name)
        parts = [_stamp((folder / file).stat) for file in _WATCHED]
        return "/".join([*parts, _version_of_tokens(folder)])

    def at(self, name: str) -> Results:
        """Return a folder's results as they are on disk now.

        Raises:
            EmptyRunError: a run has started there and has measured nothing yet.
            ResultsError: the folder cannot be shown.

        """
        name = self.name_of(name)
        with self._lock:
            version = self.version(name)
            if name not in self._open or self._open[name][0] != version:
                self._open[name] = (version, Results.open(self._folders[name]))
            return self._open[name][1]

    def running(self, name: str) -> bool:
        """Return whether a run may still be adding to a folder."""
        try:
            return any(part.ended is None for part in self.at(name).manifest.each)
        except EmptyRunError:
            return True
        except ResultsError:
            return False


def _stamp(stat: Callable[[], os.stat_result]) -> str:
    try:
        found = stat()
    except OSError:
        return "-"
    return f"{found.st_mtime_ns:x}.{found.st_size:x}"


def _version_of_tokens(folder: Path) -> str:
    """Return a string that changes when a token file comes, goes or is replaced.

    The time of their folder changes too often: a run first writes each file under another name.
    """
    try:
        with os.scandir(folder / TOKENS) as files:
            stamps = sorted(
                f"{file.name}/{_stamp(file.stat)}" for file in files if file.name.endswith(_SUFFIX)
            )
    except OSError:
        return "-"
    return hashlib.blake2b("\n".join(stamps).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _names(folders: Sequence[Path]) -> list[str]:
    resolved = [folder.resolve() for folder in folders]
    plain = [folder.name or str(folder) for folder in resolved]
    clear = [
        name if plain.count(name) == 1 else f"{folder.parent.name}/{name}"
        for name, folder in zip(plain, resolved, strict=True)
    ]
    return [
        name if clear.count(name) == 1 else str(folder) for name, folder in zip(clear, resolved, strict=True)
    ]
