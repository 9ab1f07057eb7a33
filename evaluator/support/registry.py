"""A registry that finds its entries by importing the modules of a package: a new file adds a new entry."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from evaluator.support.suggestions import did_you_mean

EntryT = TypeVar("EntryT")


class Registry(Generic[EntryT]):
    """Named entries of one kind, discovered on first use, in order of their modules' names."""

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, EntryT] = {}
        self._discovered = False

    def add(self, name: str, entry: EntryT) -> EntryT:
        """Register `entry` under `name`.

        Raises:
            ValueError: the name is taken.
        """
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        self._entries[name] = entry
        return entry

    def register(self, name: str) -> Callable[[EntryT], EntryT]:
        """Return a decorator that registers under `name`."""
        return lambda entry: self.add(name, entry)

    def names(self) -> list[str]:
        """Return all names, in order of discovery."""
        self._discover()
        return list(self._entries)

    def __iter__(self) -> Iterator[tuple[str, EntryT]]:
        self._discover()
        return iter(self._entries.items())

    def get(self, name: str) -> EntryT:
        """Return the entry `name`.

        Raises:
            LookupError: there is none; the message suggests the closest name and lists the known ones.
        """
        self._discover()
        if name in self._entries:
            return self._entries[name]
        hint = did_you_mean(name, self._entries)
        raise LookupError(f"unknown {self.kind} {name!r}{hint} (known: {', '.join(sorted(self._entries))})")

    def _discover(self) -> None:
        if self._discovered:
            return
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        self._discovered = True
