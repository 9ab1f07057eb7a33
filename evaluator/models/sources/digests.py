"""Remember the digests of files that were read before, by path, inode, size and times of the last change."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from time import time

from evaluator.models.sources.resolve import sha256_of
from evaluator.support.atomic_files import whole_file
from evaluator.support.cache import cache_folder

_DIGEST = re.compile(r"[0-9a-f]{64}")
#: Seconds after which a file is taken to be written completely; some file systems count whole seconds, or two.
_SETTLED = 3


def remembered_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, which is read only if it changed since the last call, or was never read.

    It is not remembered if the file changed just now, because another change in the same moment would not show, nor
    if the cache folder cannot be written.

    Raises:
        OSError: the file cannot be read.
    """
    state = path.stat()
    # A copied file may have the size and time of another; the system sets its inode and ctime.
    parts = path.absolute(), state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
    key = hashlib.sha256(b"\0".join(os.fsencode(str(part)) for part in parts)).hexdigest()
    note = cache_folder() / "digests" / key
    if note.is_file() and _DIGEST.fullmatch(known := note.read_text(encoding="ascii", errors="replace")):
        return known
    digest = sha256_of(path)
    if all(abs(time() - changed) >= _SETTLED for changed in (state.st_mtime, state.st_ctime)):
        with suppress(OSError):
            _remember(note, digest)
    return digest


def _remember(note: Path, digest: str) -> None:
    note.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(note) as partial:
        partial.write_text(digest, encoding="ascii")
