"""Compute the memory that running a file takes for a context, between the contexts it was measured for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from dashboard.results.engines import ENGINE
from dashboard.results.results import Results
from dashboard.results.rows import Row
from dashboard.style import formats

#: The engine that repacks weights for its faster kernels, and leaves those of the mapped file in memory.
_REPACKS = "llama.cpp"
#: What a measured peak has besides, in words.
COPIES = f"a second copy of the weights that {_REPACKS} repacks, which the system can drop"
#: Of a file, an engine and a type of the cache: (context, weights, cache, buffers), by context; bytes.
_Rows = list[tuple[int, float, float, float | None]]


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes that running a file takes with a `cache_type` for `context` tokens; `buffers` may not be known."""

    file: float
    cache: float
    buffers: float | None
    context: int
    cache_type: str

    @property
    def total(self) -> float:
        """The sum of what is known."""
        return self.file + self.cache + (self.buffers or 0)

    @property
    def in_words(self) -> str:
        """The sum, as `weights 1.10 GB + cache 0.50 GB + buffers 0.10 GB = 1.70 GB at 16,384 tokens, q8_0 cache`."""
        parts = [("weights", self.file), ("cache", self.cache)]
        parts += [("buffers", self.buffers)] if self.buffers is not None else []
        sum_of = " + ".join(f"{name} {formats.size(part)}" for name, part in parts)
        lacking = "" if self.buffers is not None else "; buffers are not known"
        where = f"at {formats.count(self.context)} tokens, {self.cache_type} cache"
        return f"{sum_of} = {formats.size(self.total)} {where}{lacking}"


def peak_with_copies(row: Row, need: MemoryNeed | None) -> float | None:
    """Return a file's measured peak in bytes if it is above `need`, which has every weight once; else None.

    The peak is that of a process after a short prompt. It is higher where it has weights twice: repacked, and in the
    mapped file, whose pages the system can drop.
    """
    peak: float | None = row.get("run_peak_rss_bytes")
    if need is None or need.buffers is None or peak is None or row.get(ENGINE) != _REPACKS:
        return None
    return peak if peak > need.total else None


@dataclass(frozen=True)
class MemoryNeeds:
    """The memory of a folder's files (`memory.parquet`), by variant and engine, and then by type of the cache."""

    rows: Mapping[tuple[str, str], Mapping[str, _Rows]] = field(default_factory=dict)

    @classmethod
    def of(cls, frame: pl.DataFrame | None) -> MemoryNeeds:
        """Take a folder's frame, or None; rows without weights or cache are left out."""
        if frame is None:
            return cls()
        rows: dict[tuple[str, str], dict[str, _Rows]] = {}
        known = frame.drop_nulls(["weights_bytes", "cache_bytes"])
        for row in known.sort("context", maintain_order=True).iter_rows(named=True):
            sizes = (row["context"], row["weights_bytes"], row["cache_bytes"], row["compute_bytes"])
            types = rows.setdefault((row["variant_id"], row["engine"]), {})
            types.setdefault(row["cache_type"], []).append(sizes)
        return cls(rows)

    def types(self, variant_id: str, engine: str) -> list[str]:
        """Return the types of the cache that a file was measured with, the largest first."""
        found = self.rows.get((variant_id, engine), {})
        return sorted(found, key=lambda kind: (-found[kind][-1][2], kind))

    def longest(self, variant_id: str, engine: str) -> int:
        """Return the longest context that a file was measured for, usually its model's own; 0 if none."""
        found = self.rows.get((variant_id, engine), {})
        return max((rows[-1][0] for rows in found.values()), default=0)

    def at(self, variant_id: str, engine: str, cache_type: str, context: int) -> MemoryNeed | None:
        """Return what a context takes: interpolated linearly, of a shorter context than all measured the shortest's.

        None if it was not measured, or for no context that long.
        """
        rows = self.rows.get((variant_id, engine), {}).get(cache_type, [])
        above = next((index for index, row in enumerate(rows) if row[0] >= context), None)
        if above is None:
            return None
        high, low = rows[above], rows[max(0, above - 1)]
        share = max(0.0, (context - low[0]) / (high[0] - low[0])) if high[0] > low[0] else 1.0
        (_, *start, first), (_, *end, last) = low, high
        buffers = None if first is None or last is None else _between(first, last, share)
        file, cache = (_between(*pair, share) for pair in zip(start, end, strict=True))
        return MemoryNeed(file, cache, buffers, context, cache_type)


def _between(low: float, high: float, share: float) -> float:
    return low + share * (high - low)


def memory_needs(results: Results) -> MemoryNeeds:
    """Return the memory of a folder's files (cached)."""
    return results.memoized("memory needs", lambda: MemoryNeeds.of(results.memory()))
