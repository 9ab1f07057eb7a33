"""Work in groups whose files fit on the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

ItemT = TypeVar("ItemT")


def groups_within(
    items: Sequence[ItemT], most_bytes: Callable[[ItemT], float], free: float
) -> Iterator[list[ItemT]]:
    """Yield items in order, as many at a time as fit into `free` bytes; one that never fits comes alone."""
    group: list[ItemT] = []
    used = 0.0
    for item in items:
        if group and used + most_bytes(item) > free:
            yield group
            group, used = [], 0.0
        group.append(item)
        used += most_bytes(item)
    if group:
        yield group
