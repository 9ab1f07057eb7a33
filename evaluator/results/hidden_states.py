"""A baseline's final hidden states on disk, while its variants are measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from evaluator.support.atomic_files import PARTIAL, sync

Values = npt.NDArray[np.float32]


class HiddenStates:
    """Float32 [windows, scored, hidden], mapped while in use.

    4 × hidden bytes per token determine its whole distribution. The array is written under a partial name and
    renamed when complete, so that what exists can be trusted; by plain writes, because a full disk is an error
    to them and a crash to mapped memory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._partial = path.with_name(f".{path.name}{PARTIAL}")
        self._writing: tuple[BinaryIO, int] | None = None

    def complete(self, shape: tuple[int, int]) -> bool:
        """Whether all windows are there; `shape` is (windows, scored)."""
        return self.path.is_file() and self._array().shape[:2] == shape

    def put(self, index: int, n_windows: int, values: Values) -> None:
        """Keep the hidden states of one window.

        Raises:
            OSError: the disk is full.
        """
        if self._writing is None:
            self._writing = self._begin((n_windows, *values.shape))
        file, origin = self._writing
        file.seek(origin + index * values.nbytes)
        file.write(np.ascontiguousarray(values, dtype="<f4").data)

    def seal(self) -> None:
        """Declare the array complete."""
        if self._writing is not None:
            self._writing[0].close()
            self._writing = None
            sync(self._partial)
            self._partial.replace(self.path)

    def __iter__(self) -> Iterator[Values]:
        yield from self._array()

    def _array(self) -> Values:
        array: Values = np.load(self.path, mmap_mode="r")
        return array

    def _begin(self, shape: tuple[int, ...]) -> tuple[BinaryIO, int]:
        """Open the partial file; returns it and where the values begin."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self._partial.open("wb")
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        return file, file.tell()
