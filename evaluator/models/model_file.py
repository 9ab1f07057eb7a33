"""The interface to a model on disk, whatever its format.

Every format uses GGUF's terms: its metadata keys, tensor names, row order and types. So one description of each
model family is enough, and a variant can be compared with a baseline in another format.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as GGMLType

from evaluator.models.dequantize import Indices, Values, dequantize_rows, gathered_rows
from evaluator.models.mapped import release_pages
from evaluator.models.tensor_types import TensorType
from evaluator.models.text_rules import NO_RULES, TextRules
from evaluator.support.errors import SourceError
from evaluator.support.stage_clock import current_clock, in_stage

#: GGUF's limit; the weights of language models have one or two dimensions.
MAX_DIMENSIONS = 4


@dataclass(frozen=True)
class TensorInfo:
    """A tensor's location. `shape` is in numpy order (rows first, the reverse of GGUF's)."""

    name: str
    shape: tuple[int, ...]
    ggml_type: TensorType
    offset: int
    n_bytes: int

    @property
    def n_elements(self) -> int:
        """Number of weights."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def shape_without_leading_ones(self) -> tuple[int, ...]:
        """The shape as llama.cpp writes it: a matrix of one row is a vector."""
        first = next((index for index, size in enumerate(self.shape[:-1]) if size > 1), -1)
        return self.shape[first:]

    @property
    def n_rows(self) -> int:
        """Number of rows over all matrices of the tensor; a vector is one row."""
        return int(np.prod(self.shape[:-1], dtype=np.int64))

    @property
    def bits_per_weight(self) -> float:
        """Stored bits per weight, scales and minima included."""
        return 8 * self.n_bytes / self.n_elements


@dataclass(frozen=True)
class ValueType:
    """GGUF type number of a metadata value, and of its items if it is an array."""

    value: int
    item: int | None


@dataclass(frozen=True)
class ContextBound:
    """The longest window, in tokens, for which a model's graph is exact, and the setting that it leaves out."""

    tokens: int
    setting: str


class RowReader(Protocol):
    """Reads rows of a tensor, counted over all its matrices; a vector is one row."""

    def __call__(self, start: int, stop: int, out: Values | None = None) -> Values:
        """Return the values of rows `start` to `stop`, float32 [rows, columns], in `out` if it is given."""


@dataclass(frozen=True)
class ModelFile(ABC):
    """An opened model: metadata and tensor directory in memory, tensor bytes mapped.

    `path` is for messages; `files` are all files of the model.
    """

    path: Path
    metadata: Mapping[str, Any]
    value_types: Mapping[str, ValueType]
    tensors: Mapping[str, TensorInfo]

    @property
    @abstractmethod
    def files(self) -> tuple[Path, ...]:
        """The files that users download, in order."""

    @abstractmethod
    def raw(self, name: str) -> npt.NDArray[np.uint8]:
        """Return the bytes of a tensor as uint8 [..., bytes per row], mapped if the format allows it.

        Raises:
            SourceError: there is no such tensor.
        """

    @property
    def name(self) -> str:
        """The published name, from which names of models, quants and sources are derived."""
        return self.path.name

    @property
    def text_rules(self) -> TextRules:
        """Rules of the tokenizer that the metadata do not contain."""
        return NO_RULES

    @property
    def context_bound(self) -> ContextBound | None:
        """The length up to which the graph is exact; None without a limit."""
        return None

    @property
    def notice(self) -> str | None:
        """What a reader must know about the values, such as what its runtime rounds besides; None if nothing."""
        return None

    def as_written(self) -> tuple[ModelFile, str | None]:
        """Return the model that its GGUF files hold, and in which respect it is another one, None if in none."""
        return self, None

    @property
    def architecture(self) -> str:
        """`general.architecture`.

        Raises:
            SourceError: it is missing.
        """
        return str(self.require("general.architecture"))

    @property
    def n_params(self) -> int:
        """Number of weights in all tensors."""
        return sum(tensor.n_elements for tensor in self.tensors.values())

    @property
    def tensor_bytes(self) -> int:
        """Bytes of all tensors, without metadata and padding."""
        return sum(tensor.n_bytes for tensor in self.tensors.values())

    @property
    def bits_per_weight(self) -> float:
        """8 × tensor bytes / parameters, measured, not nominal."""
        return 8 * self.tensor_bytes / self.n_params

    @property
    def size_bytes(self) -> int:
        """Bytes of all `files`, the size that users download."""
        return sum(path.stat().st_size for path in self.files)

    def require(self, key: str) -> Any:
        """Return the metadata value of `key`.

        Raises:
            SourceError: the key is missing.
        """
        if key not in self.metadata:
            raise SourceError(self.path, f"metadata key {key} is missing")
        return self.metadata[key]

    def single(self, key: str, default: Any = None) -> Any:
        """Return the metadata value of `key`, `default` if it is missing.

        Raises:
            SourceError: it is an array.
        """
        value = self.metadata.get(key, default)
        if isinstance(value, (list, np.ndarray)):
            reason = f"metadata key {key} is an array of {len(value)}, not a single value"
            raise SourceError(self.path, reason)
        return value

    def tensor(self, name: str) -> TensorInfo:
        """Return a tensor's directory entry.

        Raises:
            SourceError: there is no such tensor.
        """
        if name not in self.tensors:
            raise SourceError(self.path, f"tensor {name} is missing")
        return self.tensors[name]

    def dequantize(self, name: str, out: Values | None = None) -> Values:
        """Return the values of a tensor as its format defines them, float32 in `shape`.

        `out` is a contiguous float32 array in `shape` for them; without it, F32 tensors may be views of the file.

        Raises:
            SourceError: there is no such tensor, or its type has no dequantizer.
            ValueError: `out` does not fit.
        """
        info = self.tensor(name)
        if out is not None and out.shape != info.shape:
            raise ValueError(f"tensor {name} has shape {info.shape}, its values cannot go into {out.shape}")
        target = None if out is None else out.reshape(info.n_rows, -1)
        return self.row_reader(name)(0, info.n_rows, target).reshape(info.shape)

    def matrix(self, name: str, index: int) -> Values:
        """Return one matrix of a tensor that stacks several, float32 [rows, columns]; 0 is the only one of others.

        Raises:
            SourceError: there is no such tensor, or its type has no dequantizer.
        """
        rows = self.tensor(name).shape[-2]
        return self.row_reader(name)(index * rows, (index + 1) * rows)

    def row_reader(self, name: str) -> RowReader:
        """Return a function that reads the values of consecutive rows.

        It is thread-safe. Its time counts for the clock that is current here, also when other threads call it.

        Raises:
            SourceError: there is no such tensor, or, when the function is called, its type has no dequantizer.
        """
        info, rows, clock = self.tensor(name), self._rows(name), current_clock()
        factors = self.row_factors(name)

        def read(start: int, stop: int, out: Values | None = None) -> Values:
            with self._decoding(info):
                values = dequantize_rows(rows[start:stop], info.ggml_type, out, clock)
            return values if factors is None else np.multiply(values, factors[start:stop], out=values)

        return read

    def row_factors(self, name: str) -> Values | None:
        """Return the factors of rows that NAME.scale holds for an NVFP4 NAME.weight, float32 [rows, 1]; None without.

        Raises:
            SourceError: there is no such tensor, or another number of factors than 1 or one for each matrix.
        """
        info, scale = self.tensor(name), f"{name.removesuffix('.weight')}.scale"
        if info.ggml_type != GGMLType.NVFP4 or scale not in self.tensors:
            return None
        factors = self.dequantize(scale).reshape(-1)
        if len(factors) not in (1, math.prod(info.shape[:-2])):
            raise SourceError(self.path, f"{scale} holds {len(factors)} numbers, not one for each matrix")
        return factors.repeat(info.n_rows // len(factors))[:, None]

    def gathered_rows(self, name: str, indices: Indices) -> Values:
        """Return the values of chosen rows, float32 [number of indices, columns]; the others are not read.

        Args:
            name: the tensor, whose rows are counted over all its matrices.
            indices: integers, one-dimensional, in any order; they may repeat.

        Raises:
            IndexError: there is no such row.
            SourceError: there is no such tensor, or its type has no dequantizer.
        """
        info, factors = self.tensor(name), self.row_factors(name)
        with self._decoding(info):
            values = gathered_rows(self._rows(name), info.ggml_type, indices)
        return values if factors is None else np.multiply(values, factors[indices], out=values)

    def release_pages(self, name: str) -> None:
        """Give the memory of a tensor's mapped bytes back to the system; they can be read again.

        Raises:
            SourceError: there is no such tensor.
        """
        release_pages(self.raw(name))

    def _rows(self, name: str) -> npt.NDArray[np.uint8]:
        with in_stage("reading"):  # some formats rearrange the bytes
            return self.raw(name).reshape(self.tensor(name).n_rows, -1)

    @contextmanager
    def _decoding(self, info: TensorInfo) -> Iterator[None]:
        try:
            yield
        except NotImplementedError as error:
            reason = f"tensor {info.name}: cannot dequantize {info.ggml_type.name}"
            raise SourceError(self.path, reason) from error
