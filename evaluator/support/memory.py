"""The memory that this process may still use."""

from __future__ import annotations

from pathlib import Path

import psutil

#: Holds a Linux container's memory limit in bytes, or "max".
_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def free_memory() -> int:
    """Return the bytes this process may still use: available on the machine and within its container's limit."""
    free = int(psutil.virtual_memory().available)
    try:
        limit = _CONTAINER_LIMIT.read_text().strip()
    except OSError:  # no container, or not this kind of system
        return free
    if not limit.isdecimal():
        return free
    return min(free, max(0, int(limit) - int(psutil.Process().memory_info().rss)))
