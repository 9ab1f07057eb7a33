"""Memory-mapped files, and the release of their pages after a model was read."""

from __future__ import annotations

import mmap
import weakref
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.lib.array_utils import byte_bounds

from evaluator.support.errors import SourceError

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


def check_length(path: Path, data: memoryview) -> None:
    """Check that a file is as long as it was when `map_file` mapped it: reading beyond its end kills the process.

    A file that was replaced or deleted stays whole for those who mapped it.

    Raises:
        SourceError: it is shorter.
    """
    if isinstance(data.obj, mmap.mmap) and data.obj.size() < len(data):
        raise SourceError(
            path,
            "became shorter while it was in use: wait until the program that writes it ends, then run again",
        )


def release_pages(array: npt.NDArray[np.uint8]) -> None:
    """Release the pages that hold the bytes of `array`, a view of a mapped file; nothing happens if it is a copy.

    Other threads may read the file meanwhile: their pages come back when they are next used.
    """
    if not hasattr(mmap, "MADV_DONTNEED"):
        return
    begin, end = byte_bounds(array)
    for mapped in tuple(_MAPPED):
        start = begin - np.frombuffer(mapped, np.uint8).ctypes.data
        if 0 <= start < len(mapped):
            page = start // mmap.PAGESIZE * mmap.PAGESIZE
            mapped.madvise(mmap.MADV_DONTNEED, page, start + end - begin - page)


def give_pages_back() -> None:
    """Release the pages of all mapped files, which count as this process's memory after they were read.

    Later reads come from the system's cache or the disk. Nothing happens on systems without `madvise`.
    """
    if hasattr(mmap, "MADV_DONTNEED"):
        for mapped in tuple(_MAPPED):
            mapped.madvise(mmap.MADV_DONTNEED)
