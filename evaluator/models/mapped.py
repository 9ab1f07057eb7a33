"""Memory-mapped files, and the release of their pages after a model was read."""

from __future__ import annotations

import mmap
import weakref
from pathlib import Path

_MAPPED: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


def map_file(path: Path) -> memoryview:
    """Map a file into memory for reading and return its bytes.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is empty.
    """
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    _MAPPED.add(mapped)
    return memoryview(mapped)


def give_pages_back() -> None:
    """Release the pages of all mapped files, which count as this process's memory after they were read.

    Later reads come from the system's cache or the disk. Nothing happens on systems without `madvise`.
    """
    if hasattr(mmap, "MADV_DONTNEED"):
        for mapped in tuple(_MAPPED):
            mapped.madvise(mmap.MADV_DONTNEED)
