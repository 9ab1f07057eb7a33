"""Read untrusted GGUF files.

Every count and length in the header is checked before memory is allocated, so a truncated or hostile file gives
one clear error: no crash, no hang, no excessive memory. Tensor bytes stay memory-mapped.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluator.models.mapped import check_length, map_file
from evaluator.models.model_file import MAX_DIMENSIONS, ModelFile, TensorInfo, ValueType
from evaluator.models.tensor_types import block_layout, block_type
from evaluator.support.errors import SourceError

MAGIC = b"GGUF"
SUPPORTED_VERSIONS = (2, 3)
MAX_NESTING = 2
#: Real files use up to 4096; a much larger alignment would only shift the tensors past the end of the file.
MAX_ALIGNMENT = 1 << 20
#: The largest published models have about 1,000 tensors.
MAX_TENSORS = 1 << 14
#: Metadata key with the number of parts of a split model.
SPLIT_COUNT = "split.count"

#: GGUF value type → (struct code, size in bytes) of the scalars.
_SCALARS: Mapping[int, tuple[str, int]] = {
    0: ("B", 1),
    1: ("b", 1),
    2: ("H", 2),
    3: ("h", 2),
    4: ("I", 4),
    5: ("i", 4),
    6: ("f", 4),
    7: ("?", 1),
    10: ("Q", 8),
    11: ("q", 8),
    12: ("d", 8),
}
_STRING, _ARRAY = 8, 9
_U64 = struct.Struct("<Q")
_MIN_STRING_BYTES, _MIN_ARRAY_BYTES = 8, 12
_MIN_KEY_BYTES = _MIN_STRING_BYTES + 4
_MIN_TENSOR_BYTES = _MIN_STRING_BYTES + 4 + 4 + 8


@dataclass(frozen=True)
class GGUFFile(ModelFile):
    """An opened GGUF file."""

    _data: memoryview = field(repr=False)

    @property
    def files(self) -> tuple[Path, ...]:
        """The file itself."""
        return (self.path,)

    @property
    def size_bytes(self) -> int:
        """Bytes of the file when it was opened; it may have been replaced or deleted since."""
        return len(self._data)

    def raw(self, name: str) -> npt.NDArray[np.uint8]:
        """Return the bytes of a tensor as uint8 [..., bytes per row], mapped, not copied.

        Raises:
            SourceError: there is no such tensor, or the file was cut off after it was opened.
        """
        info = self.tensor(name)
        check_length(self.path, self._data)
        flat = np.frombuffer(self._data, np.uint8, count=info.n_bytes, offset=info.offset)
        return flat.reshape(*info.shape[:-1], -1)


class IncompleteHeaderError(SourceError):
    """The bytes end inside the header: the file is truncated, or only its beginning was read."""


class _Cursor:
    """A read position in the header; reading past the end of the file is an error."""

    def __init__(self, path: Path, data: memoryview) -> None:
        self.path = path
        self.data = data
        self.position = 0

    def fail(self, reason: str) -> SourceError:
        return SourceError(self.path, f"not a readable GGUF file: {reason}")

    def ended(self, reason: str) -> IncompleteHeaderError:
        return IncompleteHeaderError(self.path, f"not a readable GGUF file: {reason}")

    def take(self, n_bytes: int, what: str) -> memoryview:
        if n_bytes > len(self.data) - self.position:
            raise self.ended(f"truncated inside {what} at byte {self.position}")
        start, self.position = self.position, self.position + n_bytes
        return self.data[start : self.position]

    def peek(self, n_bytes: int, what: str) -> memoryview:
        taken = self.take(n_bytes, what)
        self.position -= n_bytes
        return taken

    def scalar(self, value_type: int, what: str) -> Any:
        code, size = _SCALARS[value_type]
        return struct.unpack(f"<{code}", self.take(size, what))[0]

    def count(self, what: str, min_bytes_each: int) -> int:
        """Read a u64 count, and check that so many items fit into the rest of the file."""
        value = int(self.scalar(10, what))
        if value * min_bytes_each > len(self.data) - self.position:
            raise self.ended(f"{what} claims {value:,} items, more than the file holds: truncated or damaged")
        return value

    def string(self, what: str) -> str:
        length = self.count(f"length of {what}", 1)
        return bytes(self.take(length, what)).decode("utf-8", errors="replace")

    def strings(self, length: int, what: str) -> list[str]:
        """Read strings without a call for each part of each; vocabularies have several 100,000."""
        data, end, position, items = self.data, len(self.data), self.position, []
        for _ in range(length):
            start = position + _MIN_STRING_BYTES
            stop = start + _U64.unpack_from(data, position)[0] if start <= end else end + 1
            if stop > end:
                self.position = position
                self.string(what)  # raises
            items.append(str(data[start:stop], "utf-8", "replace"))
            position = stop
        self.position = position
        return items

    def value(self, value_type: int, what: str, depth: int = 0) -> Any:
        if value_type in _SCALARS:
            return self.scalar(value_type, what)
        if value_type == _STRING:
            return self.string(what)
        if value_type == _ARRAY and depth < MAX_NESTING:
            return self.array(what, depth)
        raise self.fail(f"{what} has unknown value type {value_type}")

    def array(self, what: str, depth: int) -> Any:
        item_type = int(self.scalar(4, what))
        if item_type in _SCALARS:
            code, size = _SCALARS[item_type]
            length = self.count(what, size)
            return np.frombuffer(self.take(length * size, what), np.dtype(code).newbyteorder("<"))
        min_bytes = _MIN_STRING_BYTES if item_type == _STRING else _MIN_ARRAY_BYTES
        length = self.count(what, min_bytes)
        if item_type == _STRING:
            return self.strings(length, what)
        return [self.value(item_type, what, depth + 1) for _ in range(length)]


def _read_header(cursor: _Cursor) -> tuple[int, int]:
    """Check magic number and version; return the numbers of tensors and metadata keys."""
    if bytes(cursor.take(4, "the magic number")) != MAGIC:
        raise cursor.fail("it does not begin with the letters GGUF")
    version = int(cursor.scalar(4, "the version"))
    if version not in SUPPORTED_VERSIONS:
        raise cursor.fail(f"version {version} is not one of {SUPPORTED_VERSIONS} (big-endian or newer?)")
    n_tensors = cursor.count("the tensor count", _MIN_TENSOR_BYTES)
    if n_tensors > MAX_TENSORS:
        raise cursor.fail(f"it claims {n_tensors:,} tensors, more than the limit of {MAX_TENSORS:,}")
    n_keys = cursor.count("the metadata count", _MIN_KEY_BYTES)
    return n_tensors, n_keys


def _read_metadata(
    cursor: _Cursor, n_keys: int, until: str | None = None
) -> tuple[dict[str, Any], dict[str, ValueType]]:
    metadata: dict[str, Any] = {}
    types: dict[str, ValueType] = {}
    for _ in range(n_keys):
        key = cursor.string("a metadata key")
        if until is not None and key.startswith(until):
            break
        if key in metadata:
            raise cursor.fail(f"metadata key {key[:80]} appears twice")
        kind = int(cursor.scalar(4, key[:80]))
        item = struct.unpack("<I", cursor.peek(4, key[:80]))[0] if kind == _ARRAY else None
        metadata[key] = cursor.value(kind, key[:80])
        types[key] = ValueType(kind, item)
    return metadata, types


def _read_tensor_info(cursor: _Cursor) -> TensorInfo:
    """Read a directory entry; its `offset` is relative to the data section."""
    name = cursor.string("a tensor name")
    n_dims = int(cursor.scalar(4, name[:80]))
    if not 1 <= n_dims <= MAX_DIMENSIONS:
        raise cursor.fail(f"tensor {name[:80]} has {n_dims} dimensions")
    dims = [int(cursor.scalar(10, name[:80])) for _ in range(n_dims)]
    type_number = int(cursor.scalar(4, name[:80]))
    offset = int(cursor.scalar(10, name[:80]))
    try:
        ggml_type = block_type(type_number)
    except ValueError as error:
        raise cursor.fail(f"tensor {name[:80]} {error}") from None
    layout = block_layout(ggml_type)
    if min(dims) < 1 or dims[0] % layout.weights:
        raise cursor.fail(
            f"tensor {name[:80]} of shape {dims} does not fit {ggml_type.name} blocks of {layout.weights}"
        )
    n_bytes = math.prod(dims[1:]) * layout.bytes_of_row(dims[0])
    return TensorInfo(name, tuple(reversed(dims)), ggml_type, offset, n_bytes)


def _alignment(cursor: _Cursor, metadata: Mapping[str, Any]) -> int:
    value = metadata.get("general.alignment", 32)
    if not isinstance(value, int) or not 1 <= value <= MAX_ALIGNMENT or value & (value - 1):
        raise cursor.fail(f"general.alignment is {value!r}, not a small power of two")
    return value


def _cursor_at_start(path: Path) -> _Cursor:
    try:
        data = map_file(path)
    except ValueError:
        raise SourceError(path, "not a readable GGUF file: it is empty") from None
    except OSError as error:
        raise SourceError(path, f"cannot be opened: {error.strerror or error}") from error
    return _Cursor(path, data)


def peek_gguf(path: Path) -> tuple[int, dict[str, Any]]:
    """Return the number of tensors and the metadata before the tokenizer's long lists, which are not read.

    Raises:
        SourceError: it cannot be read, or is no GGUF file.
    """
    cursor = _cursor_at_start(path)
    n_tensors, n_keys = _read_header(cursor)
    return n_tensors, _read_metadata(cursor, n_keys, until="tokenizer.")[0]


def open_gguf(path: Path, *, part: bool = False) -> GGUFFile:
    """Open and check a GGUF file.

    Args:
        path: the file.
        part: whether it is a part of a split model; parts may have no tensors.

    Raises:
        SourceError: it cannot be read, is truncated, or its header contradicts itself.
    """
    data = _cursor_at_start(path).data
    return read_gguf(path, data, len(data), part=part)


def read_gguf(path: Path, data: memoryview, size: int, *, part: bool = False) -> GGUFFile:
    """Read and check a GGUF file from its beginning, which must contain the header.

    Args:
        path: the file, for messages.
        data: its first bytes; tensors beyond them cannot be read.
        size: bytes of the whole file.
        part: whether it is a part of a split model; parts may have no tensors.

    Raises:
        IncompleteHeaderError: `data` ends inside the header.
        SourceError: the file is truncated, or its header contradicts itself.
    """
    cursor = _Cursor(path, data)
    n_tensors, n_keys = _read_header(cursor)
    metadata, value_types = _read_metadata(cursor, n_keys)
    relative = [_read_tensor_info(cursor) for _ in range(n_tensors)]
    alignment = _alignment(cursor, metadata)
    data_start = -(-cursor.position // alignment) * alignment
    tensors: dict[str, TensorInfo] = {}
    for info in relative:
        start = data_start + info.offset
        if start + info.n_bytes > size:
            missing = start + info.n_bytes - size
            raise SourceError(
                path, f"truncated: tensor {info.name[:80]} ends {missing:,} bytes past the file"
            )
        if info.name in tensors:
            raise cursor.fail(f"tensor {info.name[:80]} appears twice")
        tensors[info.name] = TensorInfo(info.name, info.shape, info.ggml_type, start, info.n_bytes)
    count = metadata.get(SPLIT_COUNT, 1)
    if not part and not (isinstance(count, int) and count <= 1):
        raise SourceError(
            path, "holds a part of a split model; it must be named NAME-00001-of-00002.gguf, as published"
        )
    if not part and not tensors:
        raise cursor.fail("it holds no tensors")
    return GGUFFile(path, metadata, value_types, tensors, data)
