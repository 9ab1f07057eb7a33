"""Remember the digests of files that were read before, by path, size and time of the last change."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from evaluator.models.sources.resolve import sha256_of
from evaluator.support.atomic_files import whole_file
from evaluator.support.cache import cache_folder

_DIGEST = re.compile(r"[0-9a-f]{64}")


def remembered_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, which is read only if it changed since the last call, or was never read.

    Raises:
        OSError: the file cannot be read, or the cache cannot be written.
    """
    state = path.stat()
    key = hashlib.sha256(f"{path.absolute()}\0{state.st_size}\0{state.st_mtime_ns}".encode()).hexdigest()
    note = cache_folder() / "digests" / key
    if note.is_file() and _DIGEST.fullmatch(known := note.read_text(encoding="ascii", errors="replace")):
        return known
    digest = sha256_of(path)
    note.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(note) as partial:
        partial.write_text(digest, encoding="ascii")
    return digest
