"""A model in which some tensors are another model's."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evaluator.models.dequantize import Indices, Values
from evaluator.models.model_file import ModelFile, RowReader


@dataclass(frozen=True)
class Exchanged(ModelFile):
    """A file with some tensors of another of the same shape."""

    original: ModelFile
    other: ModelFile
    exchanged: frozenset[str]

    @classmethod
    def of(cls, original: ModelFile, other: ModelFile, names: Collection[str]) -> Exchanged:
        """Return `original` with the tensors `names` of `other`, and with their scales."""
        names = {*names, *(f"{name.removesuffix('.weight')}.scale" for name in names)}
        tensors = {name: (other if name in names else original).tensor(name) for name in original.tensors}
        return cls(
            original.path,
            original.metadata,
            original.value_types,
            tensors,
            original,
            other,
            frozenset(names),
        )

    @property
    def files(self) -> tuple[Path, ...]:
        """The original's files."""
        return self.original.files

    def raw(self, name: str) -> npt.NDArray[np.uint8]:
        """Return the bytes of a tensor from the file that it is taken from."""
        return self._owner(name).raw(name)

    def row_reader(self, name: str) -> RowReader:
        """Return a reader of the tensor's rows in the file that it is taken from."""
        return self._owner(name).row_reader(name)

    def gathered_rows(self, name: str, indices: Indices) -> Values:
        """Return chosen rows from the file that the tensor is taken from."""
        return self._owner(name).gathered_rows(name, indices)

    def release_pages(self, name: str) -> None:
        """Give the memory of a tensor's mapped bytes back to the system."""
        self._owner(name).release_pages(name)

    def _owner(self, name: str) -> ModelFile:
        return self.other if name in self.exchanged else self.original
