"""Files mapped into memory, and their pages given back when a model has been read."""

from __future__ import annotations

import mmap
import weakref
from pathlib import Path

_MAPPED: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


def map_file(path: Path) -> memoryview:
    """Bytes of a file, mapped to be read.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is empty.
    """
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    _MAPPED.add(mapped)
    return memoryview(mapped)


def give_pages_back() -> None:
    """Let go of the pages of all mapped files, which count as this process's memory once they were read.

    What is read again comes from the system's cache, else from the disk. Nothing happens where the system has no
    such call.
    """
    if hasattr(mmap, "MADV_DONTNEED"):
        for mapped in tuple(_MAPPED):
            mapped.madvise(mmap.MADV_DONTNEED)
