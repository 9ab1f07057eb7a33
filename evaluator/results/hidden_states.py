"""A baseline's final hidden states, stored on disk while its variants are measured."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from evaluator.support.atomic_files import sync
from evaluator.support.unfinished import PARTIAL

Values = npt.NDArray[np.float32]


class HiddenStates:
    """Float32 array [windows, scored, hidden], memory-mapped for reading.

    4 × hidden bytes per token are enough to compute its whole distribution. The array is written under a temporary
    name and renamed when complete, so an existing file is always complete. Plain writes are used because a full
    disk raises an error for them but crashes the process with mapped memory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._partial = path.with_name(f".{path.name}{PARTIAL}")
        self._writing: tuple[BinaryIO, int] | None = None

    def complete(self, shape: tuple[int, int]) -> bool:
        """Return whether the file exists with all windows; `shape` is (windows, scored)."""
        return self.path.is_file() and self.values().shape[:2] == shape

    def put(self, index: int, n_windows: int, values: Values) -> None:
        """Write the hidden states of one window.

        Raises:
            OSError: the disk is full.
        """
        if self._writing is None:
            self._writing = self._begin((n_windows, *values.shape))
        file, origin = self._writing
        file.seek(origin + index * values.nbytes)
        file.write(np.ascontiguousarray(values, dtype="<f4").data)

    def seal(self) -> None:
        """Finish writing, and give the file its final name."""
        if self._writing is not None:
            self._writing[0].close()
            self._writing = None
            sync(self._partial)
            self._partial.replace(self.path)

    def values(self) -> Values:
        """Return the complete array, mapped."""
        array: Values = np.load(self.path, mmap_mode="r")
        return array

    def _begin(self, shape: tuple[int, ...]) -> tuple[BinaryIO, int]:
        """Open the temporary file and write the header; return the file and the offset of the values."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self._partial.open("wb")
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        return file, file.tell()
