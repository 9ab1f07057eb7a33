"""Read untrusted safetensors files: eight bytes of length, a JSON directory, then the tensors.

Counts and offsets are checked against the file's size before anything is read; tensor bytes stay memory-mapped.
Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from evaluator.models.mapped import check_length, map_file
from evaluator.models.model_file import MAX_DIMENSIONS, TensorInfo
from evaluator.support.errors import SourceError

_LENGTH_BYTES = 8
#: The reference implementation's limit for the directory.
_MAX_DIRECTORY_BYTES = 100_000_000

#: Types that GGUF has too. Tensors of other types (8-bit floats, integers) are parts of quantized weights.
_TYPES: Mapping[str, gguf.GGMLQuantizationType] = {
    "F32": gguf.GGMLQuantizationType.F32,
    "F16": gguf.GGMLQuantizationType.F16,
    "BF16": gguf.GGMLQuantizationType.BF16,
}
#: Type → numpy's type of its numbers, floats that numpy lacks as their bits.
_NUMBERS: Mapping[str, str] = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"},
    **{"F8_E4M3": "u1", "F8_E5M2": "u1", "F8_E8M0": "u1", "BOOL": "u1"},
    **{
        "I64": "<i8",
        "I32": "<i4",
        "I16": "<i2",
        "I8": "i1",
        "U64": "<u8",
        "U32": "<u4",
        "U16": "<u2",
        "U8": "u1",
    },
}


@dataclass(frozen=True)
class StoredArray:
    """An array of a file, of any type; `kind` is the format's name of the type."""

    file: SafetensorsFile = field(repr=False)
    name: str
    kind: str
    shape: tuple[int, ...]
    offset: int
    n_bytes: int

    def raw(self) -> npt.NDArray[np.uint8]:
        """Return its bytes, uint8 [n_bytes], mapped, not copied.

        Raises:
            SourceError: the file was cut off after it was opened.
        """
        return self.file.bytes_at(self.offset, self.n_bytes)

    def numbers(self) -> npt.NDArray[Any]:
        """Return its numbers in `shape`, mapped, not copied; floats that numpy lacks are their bits.

        Raises:
            SourceError: the file was cut off after it was opened.
        """
        return self.raw().view(_NUMBERS[self.kind]).reshape(self.shape)


@dataclass(frozen=True)
class SafetensorsFile:
    """An opened file: its unchecked directory and its mapped bytes; `_origin` is the offset of the tensors."""

    path: Path
    directory: Mapping[str, Any]
    _origin: int
    _data: memoryview = field(repr=False)

    def tensor(self, name: str) -> TensorInfo:
        """Check and return a tensor's directory entry; `offset` is from the beginning of the file.

        A single number without dimensions is a vector of one.

        Raises:
            SourceError: it is missing, of an unsupported type, or does not fit into the file.
        """
        array = self.array(name)
        if array.kind not in _TYPES:
            known = ", ".join(_TYPES)
            reason = f"is stored as {array.kind}; supported without quantization_config: {known}"
            raise SourceError(self.path, f"tensor {name[:80]} {reason}")
        return TensorInfo(name, array.shape or (1,), _TYPES[array.kind], array.offset, array.n_bytes)

    def array(self, name: str) -> StoredArray:
        """Check and return an array of any type.

        Raises:
            SourceError: it is missing, of an unknown type, empty, or does not fit into the file.
        """
        if name not in self.directory:
            raise SourceError(self.path, f"tensor {name[:80]} is missing")
        kind, shape, begin, end = _entry(self.path, name, self.directory[name])
        if kind not in _NUMBERS:
            raise SourceError(self.path, f"tensor {name[:80]} is stored as {kind[:20]}, which is not known")
        n_bytes = math.prod(shape) * np.dtype(_NUMBERS[kind]).itemsize
        if not n_bytes or end - begin != n_bytes or begin < 0 or self._origin + end > len(self._data):
            raise _damaged(self.path, f"tensor {name[:80]} does not fit into the file: truncated?")
        return StoredArray(self, name, kind, shape, self._origin + begin, n_bytes)

    def raw(self, info: TensorInfo) -> npt.NDArray[np.uint8]:
        """Return the bytes of a tensor as uint8 [..., bytes per row], mapped, not copied.

        Raises:
            SourceError: the file was cut off after it was opened.
        """
        return self.bytes_at(info.offset, info.n_bytes).reshape(*info.shape[:-1], -1)

    def bytes_at(self, offset: int, n_bytes: int) -> npt.NDArray[np.uint8]:
        """Return bytes of the file, mapped, not copied.

        Raises:
            SourceError: the file was cut off after it was opened.
        """
        check_length(self.path, self._data)
        return np.frombuffer(self._data, np.uint8, count=n_bytes, offset=offset)


def open_safetensors(path: Path) -> SafetensorsFile:
    """Open a file and read its directory; `SafetensorsFile.tensor` checks the entries.

    Raises:
        SourceError: it cannot be read, is truncated, or its directory is damaged.
    """
    try:
        data = map_file(path)
    except ValueError:
        raise _damaged(path, "it is empty") from None
    except OSError as error:
        raise SourceError(path, f"cannot be opened: {error.strerror or error}") from error
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    origin = _LENGTH_BYTES + length
    if len(data) < _LENGTH_BYTES or origin > len(data) or length > _MAX_DIRECTORY_BYTES:
        raise _damaged(path, f"its directory claims {length:,} bytes, more than possible: truncated?")
    try:
        directory = json.loads(bytes(data[_LENGTH_BYTES:origin]))
    except (ValueError, RecursionError):
        raise _damaged(path, "its directory is not JSON") from None
    if not isinstance(directory, dict):
        raise _damaged(path, "its directory is not a JSON object")
    directory.pop("__metadata__", None)
    return SafetensorsFile(path, directory, origin, data)


def _entry(path: Path, name: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    """Return type, shape, first byte and end of a directory entry; bytes are counted from the first tensor."""
    match entry:
        case {"dtype": str(kind), "shape": [*shape], "data_offsets": [int(begin), int(end)]} if len(
            shape
        ) <= MAX_DIMENSIONS and all(type(size) is int and size >= 0 for size in shape):
            return kind, tuple(shape), begin, end
    raise _damaged(path, f"the directory entry of tensor {name[:80]} is not understood")


def _damaged(path: Path, reason: str) -> SourceError:
    return SourceError(path, f"not a readable safetensors file: {reason}")
