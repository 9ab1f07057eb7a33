"""Writing into a folder that several processes and machines may write to: whole files, one at a time."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from evaluator.support.errors import EvaluatorError

LOCK_NAME = ".lock"
#: Writing a frame takes seconds at most; whoever holds the lock for longer is not coming back.
_LOCK_SECONDS = 120.0
_DAY_SECONDS = 86_400
#: What tells that a process is at work in the folder is named like what it will complete.
_CLAIM = "run"
_PARTIAL = re.compile(r"\..+\.(?P<host>[^.]+)-(?P<process>\d+)\.partial")
#: What file managers leave in every folder that somebody looks into.
_OF_FILE_MANAGERS = frozenset((".DS_Store", "Thumbs.db", "desktop.ini"))


class SharedFolder:
    """A folder whose files appear whole or not at all, and whose changes wait for each other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path / LOCK_NAME)
        self._claim = partial_path(path / _CLAIM)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder while something in it is read, changed and written; may be nested.

        A process that dies lets go of it.

        Raises:
            EvaluatorError: somebody else holds it for minutes.
        """
        try:
            self._lock.acquire(timeout=_LOCK_SECONDS)
        except Timeout:
            raise EvaluatorError(
                f"{self.path}: another run holds {LOCK_NAME}; if none is running, delete that file"
            ) from None
        try:
            yield
        finally:
            self._lock.release()

    def replace(self, name: str, write: Callable[[Path], object]) -> None:
        """Let `write` fill a partial file and put it in the place of `name` in one step."""
        with whole_file(self.path / name) as partial:
            write(partial)

    def foreign(self) -> list[Path]:
        """What lies in the folder apart from traces of file managers and of runs that broke off."""
        return [
            path
            for path in self.path.iterdir()
            if path.name not in _OF_FILE_MANAGERS | {LOCK_NAME} and not _PARTIAL.fullmatch(path.name)
        ]

    def claim(self) -> None:
        """Show other processes that this one is at work here, until it releases the folder or dies."""
        self._claim.touch()

    def release(self) -> None:
        """Be at work here no longer."""
        self._claim.unlink(missing_ok=True)

    def others_at_work(self) -> bool:
        """Whether another process, as far as can be told from here, is at work in the folder; sweeps it first."""
        self.sweep()
        return any(path != self._claim for path in self.path.glob(f".{_CLAIM}.*.partial"))

    def sweep(self) -> None:
        """Remove partial files and folders whose writer on this machine is gone.

        Of other machines' writers nothing is known, but that none leaves its files alone for a day: containers,
        say, are a new machine each time.
        """
        for path in list(self.path.rglob("*.partial")):
            _remove_if_abandoned(path)


@contextlib.contextmanager
def naming(target: Path) -> Iterator[None]:
    """Let an error of the disk name `target`, and not the partial file that nobody has heard of, or no file at all.

    Raises:
        OSError: of the same kind.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None or ".partial" in str(error.filename):
            raise OSError(error.errno, error.strerror or str(error), str(target)) from error
        raise


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """The path to write what becomes `target` when the block ends without an error.

    Other processes may be writing the same file: the last one to be done puts its own in the place. What killed
    ones left of it is removed, for nobody would ever look at it again.

    Raises:
        OSError: the file cannot be written; it names `target`.
    """
    with _partial(target) as partial:
        yield partial
        seal(partial, target)


@contextlib.contextmanager
def scratch_beside(target: Path) -> Iterator[Path]:
    """A folder of this process for what becomes `target` and the files around it; it is removed at the end.

    Raises:
        OSError: a file cannot be written; it names `target`.
    """
    with _partial(target) as folder:
        folder.mkdir()
        yield folder


@contextlib.contextmanager
def _partial(target: Path) -> Iterator[Path]:
    """Where a file or folder may be made that is removed at the end, unless it has taken the place of `target`."""
    _remove_abandoned(target)
    partial = partial_path(target)
    try:
        with naming(target):
            yield partial
    finally:
        _remove(partial)


def partial_path(target: Path) -> Path:
    """Where this process writes what shall become `target`."""
    return target.with_name(f".{target.name}.{_host()}-{os.getpid()}.partial")


def seal(partial: Path, target: Path) -> None:
    """Put a written file in its place, once its bytes are on the disk."""
    sync(partial)
    partial.replace(target)


def sync(path: Path) -> None:
    """See that a written file's bytes are on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _remove_abandoned(target: Path) -> None:
    """Remove what writers that are gone left of `target`."""
    for path in target.parent.glob(f".{glob.escape(target.name)}.*.partial"):
        _remove_if_abandoned(path)


def _remove_if_abandoned(path: Path) -> None:
    """Remove a partial file or folder that nobody will complete."""
    match = _PARTIAL.fullmatch(path.name)
    if match is None:
        return
    with contextlib.suppress(FileNotFoundError):  # completed, or removed by another run, in the meantime
        if match["host"] == _host():
            gone = not psutil.pid_exists(int(match["process"]))
        else:
            gone = time.time() - path.stat().st_mtime > _DAY_SECONDS
        if gone:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _host() -> str:
    return re.sub(r"[^\w-]+", "_", socket.gethostname())
