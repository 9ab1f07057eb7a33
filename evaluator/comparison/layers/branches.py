"""Keep the residual streams of many branches, in memory or, if they are too many, in a file."""

from __future__ import annotations

import tempfile
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from evaluator.export.pieces import Piece
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.piece_runs import Inputs
from evaluator.runtime.streams import read_array, write_array
from evaluator.support.units import FLOAT_BYTES

Values = npt.NDArray[np.float32]


class Branches:
    """Streams by name, all float32 of one shape [windows, length, hidden]."""

    def __init__(self, model: LayeredModel, folder: Path, most_bytes: int) -> None:
        """Keep nothing yet.

        Args:
            model: the pieces that branches run through.
            folder: for the file.
            most_bytes: bytes of branches in memory; later ones go to the file.
        """
        self._model, self._folder, self._most_bytes = model, folder, most_bytes
        self._held: dict[Hashable, ort.OrtValue] = {}
        self._places: dict[Hashable, int] = {}
        self._file: BinaryIO | None = None
        self._used = 0
        self._shape: Sequence[int] = ()

    def __enter__(self) -> Branches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, name: Hashable, stream: ort.OrtValue) -> None:
        """Keep a branch.

        Raises:
            OSError: the disk is full.
        """
        self._shape = stream.shape()
        n_bytes = FLOAT_BYTES * int(np.prod(self._shape))
        if self._used + n_bytes <= self._most_bytes:
            self._used += n_bytes
            self._held[name] = stream
        else:
            self._places[name] = n_bytes * len(self._places)
            self._write(name, stream)

    def run(
        self, name: Hashable, piece: Piece, common: Inputs, weights: Sequence[Inputs]
    ) -> list[ort.OrtValue]:
        """Run a piece on a branch once for each of `weights`, and return the outputs; the branch stays as it is."""
        stream = self.get(name)
        outputs = []
        for values in weights:
            outputs.append(self._model.empty(stream.shape()))
            self._model.run(piece, stream, values, common, outputs[-1])
        return outputs

    def step(self, piece: Piece, common: Inputs, weights: Inputs, but: Mapping[Hashable, Inputs]) -> None:
        """Run a piece on all branches, with `weights` or those that `but` has for a branch."""
        for name in self.names:
            (output,) = self.run(name, piece, common, [but.get(name, weights)])
            self.replace(name, output)

    @property
    def names(self) -> list[Hashable]:
        """Names of all branches."""
        return [*self._held, *self._places]

    def replace(self, name: Hashable, stream: ort.OrtValue) -> None:
        """Replace a branch's stream by another of the same shape.

        Raises:
            OSError: the disk is full.
        """
        if name in self._held:
            self._held[name] = stream
        else:
            self._write(name, stream)

    def final(self, name: Hashable, positions: npt.NDArray[np.integer], norm: Inputs) -> Values:
        """Return a branch's final hidden states at some positions, float32 [windows · positions, hidden]."""
        states = self._model.norm(self._model.rows(self.get(name), positions), norm)
        return states.reshape(-1, states.shape[-1])

    def get(self, name: Hashable) -> ort.OrtValue:
        """Return a branch's stream."""
        if name in self._held:
            return self._held[name]
        assert self._file is not None
        self._file.seek(self._places[name])
        return ort.OrtValue.ortvalue_from_numpy(read_array(self._file, self._shape))

    def _write(self, name: Hashable, stream: ort.OrtValue) -> None:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            # Buffers are flushed when the position changes, so reads see what was written.
            self._file = tempfile.TemporaryFile(dir=self._folder, prefix="branches-")  # noqa: SIM115
        self._file.seek(self._places[name])
        write_array(self._file, stream.numpy())
