"""A checkpoint's tensors as the GGUF file would hold them: as stored, changed, decoded or computed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import gguf
import numpy as np
import numpy.typing as npt

from evaluator.models.checkpoint.safetensors_file import SafetensorsFile, StoredArray
from evaluator.models.dequantize import Indices, Values, dequantize_rows
from evaluator.models.model_file import TensorInfo
from evaluator.models.tensor_types import CheckpointType

Bytes = npt.NDArray[np.uint8]
#: Rows of a tensor, counted over all its matrices.
Rows = slice | Indices
_F32 = gguf.GGMLQuantizationType.F32


@dataclass(frozen=True)
class TensorBytes:
    """A tensor's bytes.

    Attributes:
        read: returns them, uint8 [..., bytes per row].
        stored: returns the mapped bytes that they are made of, one-dimensional or more.
    """

    read: Callable[[], Bytes]
    stored: Callable[[], Sequence[Bytes]]


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
    return Parameter(info, TensorBytes(lambda: file.raw(info), lambda: [file.raw(info)]))


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


def shifted(parameter: Parameter, offset: float) -> Parameter:
    """Return the values plus `offset`, as float32 because a 16-bit type would round the sum."""
    info, source = parameter.info, parameter.source

    def read() -> Bytes:
        return (values_of(parameter) + np.float32(offset)).view(np.uint8)

    return Parameter(
        replace(info, ggml_type=_F32, n_bytes=4 * info.n_elements), TensorBytes(read, source.stored)
    )


def rearranged(parameter: Parameter, restore: Callable[[Values], Values]) -> Parameter:
    """Return the rows in the order that `restore` undoes; it is found by restoring the row numbers."""
    info, source = parameter.info, parameter.source
    rows = info.shape[0]

    @functools.cache
    def order() -> npt.NDArray[np.intp]:
        return np.argsort(restore(np.arange(rows, dtype=np.float32)[:, None])[:, 0])

    if isinstance(source, TensorRows):
        return replace(
            parameter, source=replace(source, decode=lambda chosen: source.decode(order()[chosen]))
        )

    def read() -> Bytes:
        raw = source.read()
        return raw.reshape(rows, -1)[order()].reshape(raw.shape)

    return replace(parameter, source=replace(source, read=read))


def computed(name: str, values: Values) -> Parameter:
    """Return values that no file holds, float32."""
    info = TensorInfo(name, values.shape, _F32, 0, values.nbytes)
    return Parameter(info, TensorBytes(lambda: values.view(np.uint8), list))


def values_of(parameter: Parameter) -> Values:
    """Return all values of a tensor, float32 in its shape."""
    info, source = parameter.info, parameter.source
    if isinstance(source, TensorRows):
        return source.decode(slice(0, info.n_rows)).reshape(info.shape)
    kind = info.ggml_type
    assert not isinstance(kind, CheckpointType)
    return dequantize_rows(source.read().reshape(info.n_rows, -1), kind).reshape(info.shape)
