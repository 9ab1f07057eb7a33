"""Read JSON files from untrusted sources."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.support.errors import SourceError

#: The largest tokenizer.json of the known families has about 35 MB.
_MAX_BYTES = 1 << 28
#: Range of positive numbers that float32, GGUF's type, does not round to 0 or infinity.
_LEAST, _MOST = 1.2e-38, 3.4e38


@dataclass(frozen=True)
class JsonFile:
    """A JSON object and its path, for messages."""

    path: Path
    values: Mapping[str, Any]

    def count(self, key: str, default: int | None = None) -> int:
        """Return a positive whole number; the default replaces a missing or null value.

        Raises:
            SourceError: it is missing without a default, or something else.
        """
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 31:
            raise self.error(key, value, "a positive whole number")
        return value

    def whole(self, key: str) -> int:
        """Return a whole number from 0; a missing or null value is 0.

        Raises:
            SourceError: it is something else.
        """
        return self.count(key) if self.values.get(key) not in (None, 0) else 0

    def number(self, key: str, default: float | None = None) -> float:
        """Return a positive number that is finite in float32; the default replaces a missing or null value.

        Raises:
            SourceError: it is missing without a default, or something else.
        """
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _LEAST < value < _MOST:
            raise self.error(key, value, "a positive number")
        return float(value)

    def within(self, key: str) -> JsonFile:
        """Return the object at `key`, empty if it is missing or null.

        Raises:
            SourceError: it is something else.
        """
        value = self.values.get(key)
        if value is not None and not isinstance(value, dict):
            raise self.error(key, value, "an object")
        return JsonFile(self.path, value or {})

    def items(self, key: str) -> list[Any]:
        """Return the list at `key`, empty if it is missing or null.

        Raises:
            SourceError: it is something else.
        """
        value = self.values.get(key)
        if value is not None and not isinstance(value, list):
            raise self.error(key, value, "a list")
        return value or []

    def error(self, key: str, value: Any, expected: str) -> SourceError:
        """Return the error for a value that is not as `expected`."""
        return SourceError(self.path, f"{key} is {repr(value)[:60]}, not {expected}")

    def _value(self, key: str, default: Any) -> Any:
        value = self.values.get(key)
        if value is None and default is None:
            raise SourceError(self.path, f"{key} is missing")
        return default if value is None else value


def read_json(path: Path) -> JsonFile:
    """Read a file that holds a JSON object.

    Raises:
        SourceError: it cannot be read, is too large, or holds something else.
    """
    try:
        if path.exists() and not path.is_file():  # reading a pipe or a device might never end
            raise SourceError(path, "is not a file")
        if path.stat().st_size > _MAX_BYTES:
            raise SourceError(path, f"is larger than {_MAX_BYTES:,} bytes")
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise SourceError(path, f"cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError):
        raise SourceError(path, "is not JSON: truncated or damaged") from None
    if not isinstance(values, dict):
        raise SourceError(path, "does not hold a JSON object")
    return JsonFile(path, values)


def read_json_if_there(path: Path) -> JsonFile:
    """Read a JSON object like `read_json`; a missing file is an empty object.

    Raises:
        SourceError: it cannot be read, is too large, or holds something else.
    """
    return read_json(path) if path.exists() else JsonFile(path, {})
