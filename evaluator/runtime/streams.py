"""Hold the residual streams of all windows between two pieces, in memory or on disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from evaluator.support.atomic_files import whole_file
from evaluator.support.units import FLOAT_BYTES

Values = npt.NDArray[np.float32]
#: Run a piece: from one array to the other, both float32 [windows, length, hidden].
Step = Callable[[ort.OrtValue, ort.OrtValue], None]


class Streams(ABC):
    """The residual streams of groups of windows, each float32 [windows, length, hidden].

    Attributes:
        saves_itself: whether `save` costs nothing.
    """

    saves_itself = False

    @abstractmethod
    def put(self, group: int, stream: ort.OrtValue) -> None:
        """Set the stream of a group that has none yet."""

    @abstractmethod
    def get(self, group: int) -> ort.OrtValue:
        """Return a group's stream; it is valid until the group's next step."""

    @abstractmethod
    def step(self, group: int, run: Step) -> None:
        """Replace a group's stream by what `run` makes of it."""

    @abstractmethod
    def end_piece(self) -> None:
        """Note that all groups took a step."""

    @abstractmethod
    def drop(self, group: int) -> None:
        """Free a group's stream."""

    @abstractmethod
    def save(self, path: Path) -> Path:
        """Ensure that all streams are in a file, `path` if there is none yet, and return it.

        Raises:
            OSError: the disk is full.
        """

    @abstractmethod
    def restore(self, path: Path, shapes: Sequence[Sequence[int]]) -> None:
        """Continue with the streams in `path`, which `save` returned, in groups of these shapes.

        Raises:
            OSError: it cannot be read.
        """

    @abstractmethod
    def close(self) -> None:
        """Free everything but files, which a later run may continue from."""


class StreamsInMemory(Streams):
    """Streams on the device; one more array per shape serves as the target of the next step."""

    def __init__(self, allocate: Callable[[Sequence[int]], ort.OrtValue]) -> None:
        self._allocate = allocate
        self._held: dict[int, ort.OrtValue] = {}
        self._spare: dict[tuple[int, ...], ort.OrtValue] = {}

    def put(self, group: int, stream: ort.OrtValue) -> None:
        """Keep the array itself."""
        self._held[group] = stream

    def get(self, group: int) -> ort.OrtValue:
        """Return the array itself."""
        return self._held[group]

    def step(self, group: int, run: Step) -> None:
        """Write to the spare array; the old one becomes the spare."""
        old = self._held[group]
        shape = tuple(old.shape())
        target = self._spare.pop(shape, None) or self._allocate(shape)
        run(old, target)
        self._held[group], self._spare[shape] = target, old

    def end_piece(self) -> None:
        """Do nothing: every step was in place."""

    def close(self) -> None:
        """Free all arrays."""
        self._held.clear()
        self._spare.clear()

    def drop(self, group: int) -> None:
        """Free the array, and the spare ones."""
        self._spare.clear()
        del self._held[group]

    def save(self, path: Path) -> Path:
        """Write all streams to `path`, atomically."""
        with whole_file(path) as partial, partial.open("wb") as file:
            for group in sorted(self._held):
                file.write(np.ascontiguousarray(self._held[group].numpy()).data)
        return path

    def restore(self, path: Path, shapes: Sequence[Sequence[int]]) -> None:
        """Read the streams of all groups, of these shapes."""
        with path.open("rb") as file:
            for group, shape in enumerate(shapes):
                target = self._allocate(shape)
                target.update_inplace(read_array(file, shape))
                self._held[group] = target


class StreamsOnDisk(Streams):
    """Streams in two files, of which one is read and the other written.

    After `end_piece` the written file is complete and is read next, so at any time one file holds all streams as they
    are after some piece.
    """

    saves_itself = True

    def __init__(self, paths: tuple[Path, Path], shapes: Sequence[Sequence[int]]) -> None:
        """Open the files; plain reads and writes are used, because a full disk raises an error for them.

        Args:
            paths: the two files.
            shapes: (windows, length, hidden) of each group.

        Raises:
            OSError: a file cannot be written.
        """
        self._shapes = shapes
        sizes = [FLOAT_BYTES * int(np.prod(shape)) for shape in shapes]
        self._places = [sum(sizes[:group]) for group in range(len(sizes))]
        for path in paths:
            path.touch()
        self._paths = list(paths)
        self._files = [path.open("r+b", buffering=0) for path in paths]

    def put(self, group: int, stream: ort.OrtValue) -> None:
        """Write the stream to the file that is read next."""
        self._write(group, stream.numpy())

    def get(self, group: int) -> ort.OrtValue:
        """Read the stream."""
        file = self._files[0]
        file.seek(self._places[group])
        return ort.OrtValue.ortvalue_from_numpy(read_array(file, self._shapes[group]))

    def step(self, group: int, run: Step) -> None:
        """Read from one file, and write to the other."""
        target = np.empty(self._shapes[group], np.float32)
        run(self.get(group), ort.OrtValue.ortvalue_from_numpy(target))
        self._write(group, target)

    def end_piece(self) -> None:
        """Exchange the files."""
        self._files.reverse()
        self._paths.reverse()

    def drop(self, group: int) -> None:
        """Do nothing: the files are removed together."""

    def save(self, path: Path) -> Path:
        """Return the file that holds all streams."""
        return self._paths[0]

    def restore(self, path: Path, shapes: Sequence[Sequence[int]]) -> None:
        """Read from `path`: one of the two files, or one that streams in memory wrote, which is copied."""
        if path not in self._paths:
            with path.open("rb") as file:
                for group, shape in enumerate(shapes):
                    self._write(group, read_array(file, shape))
        if path != self._paths[0]:
            self.end_piece()

    def close(self) -> None:
        """Close the files; they stay for a later run."""
        for file in self._files:
            file.close()

    def _write(self, group: int, values: Values) -> None:
        file = self._files[1]
        file.seek(self._places[group])
        write_array(file, values)


def write_array(file: BinaryIO, values: Values) -> None:
    """Write an array at the file's position.

    Raises:
        OSError: the disk is full.
    """
    left = np.ascontiguousarray(values).data.cast("B")
    while left:
        left = left[file.write(left) :]


def read_array(file: BinaryIO, shape: Sequence[int]) -> Values:
    """Read an array at the file's position.

    Raises:
        OSError: the file ends before.
    """
    values = np.empty(shape, np.float32)
    left = values.data.cast("B")
    while left:
        count = file.readinto(left)  # type: ignore[attr-defined]
        if not count:
            raise OSError(f"{file.name}: ends too early")
        left = left[count:]
    return values
