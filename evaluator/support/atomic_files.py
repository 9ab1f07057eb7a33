"""Write files atomically: complete or not at all, even if the process is killed."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from evaluator.support.unfinished import PARTIAL

_WRITER = re.compile(rf"\.(\d+)-\w+\{PARTIAL}$")


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Yield a path to write to; the file replaces `target` when the block ends without an error.

    If several processes write the same file, the last to finish wins.

    Raises:
        OSError: the file cannot be written; the error names `target`.
    """
    with scratch_beside(target) as folder:
        partial = folder / target.name
        yield partial
        sync(partial)
        partial.replace(target)


@contextlib.contextmanager
def scratch_beside(target: Path) -> Iterator[Path]:
    """Make a folder beside `target`, on the same disk, and remove it when the block ends.

    Folders that killed processes left for the same target are removed first.

    Raises:
        OSError: a file cannot be written; the error names `target`.
    """
    _remove_leftovers(target)
    prefix = f".{target.name}.{os.getpid()}-"
    with (
        _errors_naming(target),
        tempfile.TemporaryDirectory(PARTIAL, prefix, target.parent, ignore_cleanup_errors=True) as folder,
    ):
        yield Path(folder)


def sync(path: Path) -> None:
    """Flush a written file to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def _errors_naming(target: Path) -> Iterator[None]:
    """Make disk errors name `target`, not the temporary file."""
    try:
        yield
    except OSError as error:
        if error.filename is None or PARTIAL in str(error.filename):
            raise OSError(error.errno, error.strerror or str(error), str(target)) from error
        raise


def _remove_leftovers(target: Path) -> None:
    """Remove the scratch folders of `target` whose process no longer runs."""
    for path in target.parent.glob(f".{glob.escape(target.name)}.*{PARTIAL}"):
        writer = _WRITER.search(path.name)
        if writer and not psutil.pid_exists(int(writer[1])):
            shutil.rmtree(path, ignore_errors=True)
