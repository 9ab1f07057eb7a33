"""Cache values that several threads ask for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_ValueT = TypeVar("_ValueT")


class Memo(Generic[_ValueT]):
    """Values by key, each computed by one thread while others that ask for the same key wait.

    A computation that fails is not cached: the next call tries again.
    """

    def __init__(self, most: int | None = None) -> None:
        """Keep the `most` recently used values, or all if None."""
        self._most = most
        self._values: OrderedDict[Hashable, _ValueT] = OrderedDict()
        self._computing: dict[Hashable, threading.RLock] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], _ValueT]) -> _ValueT:
        """Return the value for `key`, computed now if it is not cached."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            computing = self._computing.setdefault(key, threading.RLock())
        with computing:
            with self._lock:
                if key in self._values:
                    return self._values[key]
            try:
                return self._keep(key, compute())
            finally:
                with self._lock:
                    self._computing.pop(key, None)

    def _keep(self, key: Hashable, value: _ValueT) -> _ValueT:
        with self._lock:
            self._values[key] = value
            while self._most is not None and len(self._values) > self._most:
                self._values.popitem(last=False)
        return value

    def __contains__(self, key: Hashable) -> bool:
        """Return whether the value for `key` is cached."""
        with self._lock:
            return key in self._values
