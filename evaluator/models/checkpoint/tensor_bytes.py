"""A checkpoint's tensors as the GGUF file would hold them: as stored, changed, decoded or computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import gguf
import numpy as np
import numpy.typing as npt

from evaluator.models.block_decoders import decoder
from evaluator.models.checkpoint.safetensors_file import SafetensorsFile, StoredArray
from evaluator.models.dequantize import Indices, Values
from evaluator.models.model_file import TensorInfo
from evaluator.models.tensor_types import CheckpointType

Bytes = npt.NDArray[np.uint8]
#: Rows of a tensor, counted over all its matrices.
Rows = slice | Indices
_F32 = gguf.GGMLQuantizationType.F32


@dataclass(frozen=True)
class TensorBytes:
    """A tensor of a type that GGUF has.

    Attributes:
        rows: returns the bytes of rows, uint8 [rows, bytes per row]; threads may call it at the same time.
        stored: returns the mapped bytes that they are made of, one-dimensional or more.
        mapped: whether the tensor lies in one piece in memory, so that its bytes are a view.
    """

    rows: Callable[[Rows], Bytes]
    stored: Callable[[], Sequence[Bytes]]
    mapped: bool = True


@dataclass(frozen=True)
class TensorRows:
    """A tensor whose rows are decoded when they are read.

    Attributes:
        decode: returns the values of rows, float32 [rows, columns]; threads may call it at the same time.
        stored: returns the mapped bytes that they are made of.
    """

    decode: Callable[[Rows], Values]
    stored: Callable[[], Sequence[Bytes]]


@dataclass(frozen=True)
class Parameter:
    """A tensor of a checkpoint: what it is, and where its values come from."""

    info: TensorInfo
    source: TensorBytes | TensorRows

    def named(self, name: str) -> Parameter:
        """Return the same tensor under another name."""
        return replace(self, info=replace(self.info, name=name))


def as_stored(file: SafetensorsFile, name: str) -> Parameter:
    """Return a tensor of a type that GGUF has: the bytes of the file, mapped.

    Raises:
        SourceError: it is missing, of another type, or does not fit into the file.
    """
    info = file.tensor(name)

    def rows(chosen: Rows) -> Bytes:
        return file.raw(info).reshape(info.n_rows, -1)[chosen]

    return Parameter(info, TensorBytes(rows, lambda: [file.raw(info)]))


def decoded(
    name: str,
    shape: tuple[int, ...],
    kind: CheckpointType,
    arrays: Sequence[StoredArray],
    decode: Callable[[Rows], Values],
) -> Parameter:
    """Return a quantized tensor of the given arrays: codes, scales and what else belongs to it."""
    info = TensorInfo(name, shape, kind, arrays[0].offset, sum(array.n_bytes for array in arrays))
    return Parameter(info, TensorRows(decode, lambda: [array.raw() for array in arrays]))


def computed(name: str, values: Values) -> Parameter:
    """Return values that no file holds, float32."""
    info = TensorInfo(name, values.shape, _F32, 0, values.nbytes)
    rows = np.ascontiguousarray(values).view(np.uint8).reshape(info.n_rows, -1)
    return Parameter(info, TensorBytes(lambda chosen: rows[chosen], list))


def value_rows(parameter: Parameter) -> Callable[[Rows], Values]:
    """Return a function from rows to their values, float32 [rows, columns]."""
    source, kind, columns = parameter.source, parameter.info.ggml_type, parameter.info.shape[-1]
    if isinstance(source, TensorRows):
        return source.decode
    assert not isinstance(kind, CheckpointType)
    decode, rows_of = decoder(kind), source.rows

    def values(chosen: Rows) -> Values:
        data = np.ascontiguousarray(rows_of(chosen))
        decoded_values = np.empty((len(data), columns), np.float32)
        decode(data.reshape(-1), decoded_values.reshape(-1))
        return decoded_values

    return values


def bytes_of(parameter: Parameter) -> Bytes:
    """Return all bytes of a tensor, uint8 [..., bytes per row].

    Of a tensor whose rows are decoded, they are the bytes of its values, float32.
    """
    info, source = parameter.info, parameter.source
    if isinstance(source, TensorRows):
        return np.ascontiguousarray(values_of(parameter)).view(np.uint8)
    return source.rows(slice(0, info.n_rows)).reshape(*info.shape[:-1], -1)


def values_of(parameter: Parameter) -> Values:
    """Return all values of a tensor, float32 in its shape."""
    return value_rows(parameter)(slice(0, parameter.info.n_rows)).reshape(parameter.info.shape)
