"""Ask engines for the memory that files take: computed for many contexts, without running them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict

import polars as pl

from evaluator.comparison.stages import reporting, stage
from evaluator.engines import Case, Engine
from evaluator.planning.plan import Candidate, Plan
from evaluator.results.files import MEMORY
from evaluator.results.store import ResultsStore
from evaluator.support.progress import RunProgress


class EngineMemory:
    """Adds the rows of the memory frame that a results folder lacks."""

    def __init__(
        self, plan: Plan, store: ResultsStore, progress: RunProgress, caches: Sequence[str] = ()
    ) -> None:
        """Take what the run gives, with the types of the cache that were asked for."""
        self._items = (plan.baseline, *plan.variants)
        self._store, self._progress, self._caches = store, progress, caches

    def missing(self, name: str, engine: type[Engine]) -> list[Candidate]:
        """Return the variants without rows for an engine, or for a type of the cache that was asked for."""
        rows = {str(row["variant_id"]): row for row in self._store.variants().iter_rows(named=True)}
        asked = {kind for kind in self._caches if kind in engine.cache_types}
        missing = []
        for item in self._items:
            if item.variant_id in rows and engine.declines(item.file) is None:
                known = self._rows(name, item)["cache_type"]
                if engine.knows_memory(rows[item.variant_id]) and (
                    known.is_empty() or asked.difference(known)
                ):
                    missing.append(item)
        return missing

    def measure(
        self, name: str, engine: Engine, case_of: Callable[[Candidate], Case], refused: Collection[str] = ()
    ) -> None:
        """Add the missing rows of an engine; why there are none is reported, once per file if no type works.

        Variants that the engine `refused` already are left out.
        """
        items = [item for item in self.missing(name, type(engine)) if item.variant_id not in refused]
        rows = {str(row["variant_id"]): row for row in self._store.variants().iter_rows(named=True)}
        asked = [kind for kind in self._caches if kind in engine.cache_types]
        for item in items:
            found: list[dict[str, object]] = []
            for kind in dict.fromkeys((*engine.memory_types, *asked)):
                self._progress.step(f"{item.label}, {name}: memory with a cache of {kind}")
                subject = f"{item.variant_id}: memory with a cache of {kind} is not known in {name}"
                with stage(reporting(self._progress, subject)):
                    memory = engine.memory(case_of(item), kind, rows[item.variant_id])
                    found += [{"engine": name, "cache_type": kind} | asdict(row) for row in memory]
                if not found and self._rows(name, item).is_empty():
                    break
            if found:  # all types at once: a file with some of them would not be asked for the others again
                self._store.add_rows(MEMORY, item.variant_id, found)

    def _rows(self, name: str, item: Candidate) -> pl.DataFrame:
        return self._store.rows(MEMORY, item.variant_id).filter(engine=name)
