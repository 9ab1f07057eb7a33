"""Models that are split into several GGUF files: `NAME-00001-of-00003.gguf` and so on.

The first part holds the metadata, and every part its own tensor directory; the first part may have no tensors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evaluator.models.gguf.reader import SPLIT_COUNT, GGUFFile, open_gguf
from evaluator.models.model_file import ModelFile, TensorInfo
from evaluator.support.errors import SourceError

_PART_NAME = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_SPLIT_NUMBER, _SPLIT_TENSORS = "split.no", "split.tensors.count"
_SPLIT_KEYS = {SPLIT_COUNT, _SPLIT_NUMBER, _SPLIT_TENSORS}
#: Limit for the count in a file name; the largest published models have a few dozen parts.
_MAX_PARTS = 2048


@dataclass(frozen=True)
class SplitGGUF(ModelFile):
    """The parts of a split model as one model; `path` is the first part."""

    _parts: tuple[GGUFFile, ...] = field(repr=False)
    _part_of: Mapping[str, GGUFFile] = field(repr=False)

    @property
    def files(self) -> tuple[Path, ...]:
        """The parts in order."""
        return tuple(part.path for part in self._parts)

    @property
    def size_bytes(self) -> int:
        """Bytes of all parts when they were opened."""
        return sum(part.size_bytes for part in self._parts)

    def raw(self, name: str) -> npt.NDArray[np.uint8]:
        """Return the bytes of a tensor as uint8 [..., bytes per row], mapped from the part that holds it.

        Raises:
            SourceError: there is no such tensor.
        """
        self.tensor(name)
        return self._part_of[name].raw(name)


def first_part(path: Path) -> Path:
    """Return the first part of the split model that `path` belongs to; `path` itself if it is no part."""
    match = _PART_NAME.fullmatch(path.name)
    if match is None:
        return path
    return path.with_name(f"{match['stem']}-00001-of-{match['count']}{path.suffix}")


def is_part(path: Path) -> bool:
    """Return whether a file is named like a part of a split model."""
    return _PART_NAME.fullmatch(path.name) is not None


def open_split(path: Path) -> SplitGGUF:
    """Open a split model by the path of any of its parts.

    Raises:
        SourceError: a part is missing, damaged, or belongs to another model.
    """
    return join_parts([open_gguf(part, part=True) for part in _part_paths(path)])


def join_parts(parts: Sequence[GGUFFile]) -> SplitGGUF:
    """Return the parts of a split model, in order, as one model.

    Raises:
        SourceError: a part belongs to another model, or tensors are missing.
    """
    first = parts[0]
    tensors: dict[str, TensorInfo] = {}
    part_of: dict[str, GGUFFile] = {}
    for number, part in enumerate(parts):
        _check_number(part, number, len(parts))
        for name, info in part.tensors.items():
            if name in tensors:
                raise SourceError(part.path, f"tensor {name[:80]} is in {part_of[name].path.name} too")
            tensors[name], part_of[name] = info, part
    expected = _whole_number(first, _SPLIT_TENSORS)
    if expected not in (None, len(tensors)):
        raise SourceError(first.path, f"its parts hold {len(tensors)} tensors instead of {expected}")
    if not tensors:
        raise SourceError(first.path, "not a readable GGUF file: its parts hold no tensors")
    metadata = {key: value for key, value in first.metadata.items() if key not in _SPLIT_KEYS}
    value_types = {key: first.value_types[key] for key in metadata}
    return SplitGGUF(first.path, metadata, value_types, tensors, tuple(parts), part_of)


def _part_paths(path: Path) -> list[Path]:
    match = _PART_NAME.fullmatch(path.name)
    if match is None:
        raise SourceError(path, "is not named like a part of a split model (NAME-00001-of-00002.gguf)")
    count = int(match["count"])
    if not 1 <= int(match["number"]) <= count <= _MAX_PARTS:
        raise SourceError(path, f"part {int(match['number'])} of {count} is not possible")
    names = [
        f"{match['stem']}-{number:05d}-of-{match['count']}{path.suffix}" for number in range(1, count + 1)
    ]
    paths = [path.with_name(name) for name in names]
    missing = [part.name for part in paths if not part.is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise SourceError(path, f"{missing[0]}{more} is missing; all {count} parts must be in one folder")
    return paths


def _check_number(part: GGUFFile, number: int, count: int) -> None:
    """Check that a part's metadata agree with its name."""
    stated = _whole_number(part, SPLIT_COUNT), _whole_number(part, _SPLIT_NUMBER)
    if stated != (count, number):
        raise SourceError(
            part.path,
            f"is named part {number + 1} of {count}, but holds no. {stated[1]} (from 0) of {stated[0]}",
        )


def _whole_number(part: GGUFFile, key: str) -> int | None:
    """Return a whole number from a part's metadata, None if there is none."""
    value = part.metadata.get(key)
    return value if isinstance(value, int) else None
