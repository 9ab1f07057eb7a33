"""Measure variants in engines: times, round by round, so that noise on the machine affects all alike, and losses."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import polars as pl

from evaluator.comparison.anchor import Anchor
from evaluator.comparison.engine_memory import EngineMemory
from evaluator.comparison.engine_settings import mixed_times, settings_of, timed_otherwise
from evaluator.comparison.engine_task import EngineTask
from evaluator.comparison.exact_states import ExactStates
from evaluator.comparison.grouping import groups_within
from evaluator.comparison.stages import reporting, stage
from evaluator.comparison.timings import decode_columns, rounds_in, speed_columns, timing_frame
from evaluator.engines import ENGINES, Bench, Case, Columns, Engine, EngineError, Ready
from evaluator.export.exact.graph import Graph
from evaluator.models.model_file import ModelFile
from evaluator.planning.config import Comparison
from evaluator.planning.plan import Candidate, Plan
from evaluator.results.files import KV_CACHE
from evaluator.results.schema import CACHE_LOSSES
from evaluator.results.store import ResultsStore
from evaluator.runtime.timing import Exercise
from evaluator.support.progress import RunProgress

_SHARE_OF_DISK = 0.8
#: Rounds in which files are timed in turn, unless the user asks for another number.
ROUNDS = 3


class EngineRun:
    """Measures in engines what a results folder lacks of its variants."""

    def __init__(
        self,
        plan: Plan,
        store: ResultsStore,
        progress: RunProgress,
        asked: Comparison,
        states: ExactStates,
    ) -> None:
        """Take what the run gives; without `speed`, only losses are measured, also of types of the cache."""
        self._plan, self._store, self._progress, self._states = plan, store, progress, states
        self._kinds = {name: ENGINES.get(name) for name in asked.engines}
        self._speed, self._deep, self._caches = asked.speed, asked.deep, asked.kv_cache
        self._rounds = asked.rounds or ROUNDS
        self._at_least = (asked.rounds or 0) if asked.speed else 0
        self._exercise = Exercise.of(plan.windows[0].ids)
        self._anchor = Anchor(plan, store, progress, self._exercise)
        self._memory = EngineMemory(plan, store, progress, asked.kv_cache)
        self._refused: set[tuple[str, str]] = set()

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        lacking = (
            list(self._missing(*named)) or self._memory.missing(*named) for named in self._kinds.items()
        )
        return not any(lacking)

    def compares(self, file: ModelFile) -> bool:
        """Return whether some engine compares all windows of a file with its exact weights."""
        return any(kind.loss and kind.declines(file) is None for kind in self._kinds.values())

    def run(self, graph: Callable[[], Graph], memory: int, means: Mapping[str, object]) -> None:
        """Measure what is missing; failures are reported, and their columns stay null.

        Args:
            graph: returns the graph of all files.
            memory: bytes that a model may take.
            means: fields of the manifest that describe this machine, which it gets only if something is measured.

        Raises:
            OSError: the disk is full.
        """
        plan = self._plan
        baseline = self._case(plan.baseline)
        given = plan.device, plan.windows, self._exercise, memory, graph, baseline, self._warn
        bench = Bench(*given, self._states.compared)
        engines = self._usable(bench)
        tasks = [task for name, engine in engines.items() for task in self._tasks(name, engine)]
        if tasks:
            self._record_settings(tasks, means)
            for notice in self._anchor.notices(tasks, self._case):
                self._warn(notice)
                self._note([notice])
        for engine in dict.fromkeys(task.engine for task in tasks if task.times):
            if engine.notice:
                self._warn(engine.notice)
        self._timing = self._progress.rounds("timing", sum(task.rounds for task in tasks))
        self._comparing = self._progress.rounds("comparing", sum(task.n_comparisons for task in tasks))
        free = _SHARE_OF_DISK * shutil.disk_usage(self._store.folder).free
        for group in groups_within(tasks, lambda task: task.disk_bytes, free):
            with self._store.scratch("artifacts") as folder:
                self._measure(group, folder)
        for name, engine in engines.items():
            refused = {variant_id for other, variant_id in self._refused if other == name}
            self._memory.measure(name, engine, self._case, refused)

    def _record_settings(self, tasks: Sequence[EngineTask], means: Mapping[str, object]) -> None:
        """Write how engines are run into the manifest; rounds that were timed otherwise are dropped."""
        # Files of one shape are run alike, so one of them tells.
        first = {task.name: task for task in reversed(tasks)}
        settings = {name: settings_of(task.engine, task.case.file) for name, task in first.items()}
        earlier = self._store.manifest.engines
        notices = []
        for name in sorted({task.name for task in tasks if task.times}):
            was = timed_otherwise(earlier.get(name, {}), settings[name])
            of = [task for task in tasks if was and task.times and task.name == name]
            if again := [task.label for task in of if self._store.drop_timings(task.item.variant_id, name)]:
                self._warn(f"timed anew, as their rounds had {was}: {', '.join(again)}")
            notice = mixed_times(name, earlier.get(name, {}), settings[name])
            if notice and self._anchor.timed(first[name]):
                notices.append(notice)
                self._warn(notice)
        self._store.update_manifest(**means, engines=earlier | settings)
        self._note(notices)

    def _note(self, notices: Sequence[str]) -> None:
        """Add to what a reader of the folder must know."""
        self._store.update_manifest(notices=list(dict.fromkeys([*self._store.manifest.notices, *notices])))

    def _warn(self, text: str) -> None:
        self._progress.say(text, "yellow")

    def _case(self, item: Candidate) -> Case:
        states = self._states
        of, kept = partial(states.of, item), partial(states.kept, item)
        nll, kld = partial(states.nll, item), partial(states.kld, item)
        return Case(item.label, item.file, item.is_baseline, of, kept, nll, kld)

    def _missing(
        self, name: str, engine: type[Engine]
    ) -> Iterator[tuple[Candidate, bool, bool, tuple[str, ...]]]:
        """Yield the variants of which an engine has to measure times, losses, or types of the cache."""
        scored = self._store.measured()
        untimed = self._store.untimed(name, f"{engine.prefix}decode_ms_p50") if self._speed else set()
        unscored = self._store.without(engine.loss) if engine.loss else untimed
        for item in (self._plan.baseline, *self._plan.variants):
            losses, times = item.variant_id in unscored, item.variant_id in untimed
            if self._at_least and not times:
                times = rounds_in(self._store.timings(item.variant_id, name)) < self._at_least
            rows = self._store.rows(KV_CACHE, item.variant_id).filter(engine=name)
            known = set((rows.drop_nulls("decode_ms_p50") if self._speed else rows)["cache_type"])
            caches = tuple(kind for kind in self._caches if kind in engine.cache_types and kind not in known)
            if item.variant_id in scored and (times or losses or caches):
                yield item, times, losses, caches

    def _usable(self, bench: Bench) -> dict[str, Engine]:
        """Return the engines that have something to measure; say of which nothing can be measured, and why."""
        usable = {}
        for name, kind in self._kinds.items():
            if list(self._missing(name, kind)) or self._memory.missing(name, kind):
                engine = kind(bench)
                if reason := engine.why_not():
                    self._warn(f"nothing is measured in {name}: {reason}")
                else:
                    usable[name] = engine
        return usable

    def _tasks(self, name: str, engine: Engine) -> list[EngineTask]:
        """Return what an engine has to time and compare; say which files it does not run, and why."""
        declined: dict[str, list[str]] = {}
        tasks = []
        for item, times, losses, caches in self._missing(name, type(engine)):
            if why := engine.declines(item.file):
                declined.setdefault(why, []).append(item.label)
            else:
                rounds = [self._rounds if timed else 0 for timed in (times, self._speed)]
                tasks.append(EngineTask(name, engine, item, self._case(item), losses, caches, *rounds))
        for why, labels in declined.items():
            self._progress.say(f"not measured in {name}, {why}: {', '.join(labels)}")
        return tasks

    def _measure(self, group: Sequence[EngineTask], folder: Path) -> None:
        ready: list[tuple[EngineTask, Ready]] = []
        for task in group:
            with self._stage(task):
                self._progress.step(f"{task.label}: preparing")
                target = folder / task.name / task.item.variant_id
                ready.append((task, task.engine.prepare(task.case, target)))
        first = self._store.next_round()
        with self._timing.part(sum(task.rounds for task in group)):
            for number in range(self._rounds):
                rounds = number + 1, first + number
                ready = [one for one in ready if not one[0].times or self._time(*one, *rounds)]
        with self._comparing.part(sum(task.n_comparisons for task in group)):
            for variant_id in dict.fromkeys(task.item.variant_id for task, _ in ready):
                self._measure_variant([one for one in ready if one[0].item.variant_id == variant_id])

    def _measure_variant(self, in_engines: Sequence[tuple[EngineTask, Ready]]) -> None:
        """Measure what follows the timed rounds of one variant in each engine."""
        for task, file in in_engines:
            with self._stage(task):
                self._measure_ready(task, file)
        for item in [task.item for task, _ in in_engines if task.engine.loss]:
            self._states.forget(item)

    def _measure_ready(self, task: EngineTask, file: Ready) -> None:
        if task.times:
            self._progress.step(f"{task.label}: memory")
            self._finish(task, file)
        if task.losses:
            self._measure_losses(task, file)
        if task.caches:
            self._measure_caches(task, file)

    def _stage(self, task: EngineTask) -> AbstractContextManager[None]:
        return self._reporting(task, "not timed" if task.times else "not measured")

    def _reporting(self, task: EngineTask, what: str) -> AbstractContextManager[None]:
        """Report a failure; of a file that the engine refuses nothing else is asked of it."""
        report = reporting(self._progress, f"{task.item.variant_id}: {what} in {task.name}")

        def failed(error: Exception) -> None:
            if isinstance(error, EngineError):
                self._refused.add((task.name, task.item.variant_id))
            report(error)

        return stage(failed)

    def _time(self, task: EngineTask, file: Ready, number: int, of_folder: int) -> bool:
        """Time round `number` (`of_folder`: in the folder), unless it is stored; return whether it is there."""
        self._progress.step(f"timing {task.label}, round {number} of {task.rounds}")
        variant_id = task.item.variant_id
        with self._stage(task):
            if rounds_in(self._store.timings(variant_id, task.name)) >= number:
                self._timing.skip()
                return True
            with self._timing.one():
                timings = timing_frame(file.time(deep=self._is_deep(number)))
            self._store.add_timings(variant_id, timings, task.name, of_folder)
        return rounds_in(self._store.timings(variant_id, task.name)) >= number

    def _is_deep(self, number: int) -> bool:
        return self._deep and number == 1

    def _finish(self, task: EngineTask, file: Ready) -> None:
        """Write a file's columns of times and memory once all of its rounds are timed."""
        timings = self._store.timings(task.item.variant_id, task.name)
        columns = {**speed_columns(timings, self._exercise), **file.costs()}
        named = {f"{task.engine.prefix}{name}": value for name, value in columns.items()}
        self._store.set_columns(task.item.variant_id, named)
        self._progress.say(f"{task.label}: {columns['decode_ms_p50']:.1f} ms per token")

    def _measure_losses(self, task: EngineTask, file: Ready) -> None:
        """Write a file's columns of losses, or none if they cannot be measured; times are kept either way."""
        self._progress.step(f"{task.label}: comparing with exact weights")
        with self._reporting(task, "no engine gap"):
            with self._comparing.one():
                columns = file.losses()
            self._store.set_columns(task.item.variant_id, columns)
            if task.engine.loss in columns:
                self._progress.say(f"{task.label}: KLD {columns[task.engine.loss]:.5f} to exact weights")

    def _measure_caches(self, task: EngineTask, file: Ready) -> None:
        """Add a row per type of the cache; one that cannot be measured is reported and has none."""
        timings: dict[str, list[pl.DataFrame]] = {kind: [] for kind in task.caches}
        for number in range(1, task.cache_rounds + 1):
            for kind, rounds in timings.items():
                if len(rounds) == number - 1:  # it did not fail before
                    self._progress.step(
                        f"{task.label}: cache of {kind}, round {number} of {task.cache_rounds}"
                    )
                    with self._cache_stage(task, kind), self._comparing.one():
                        rounds.append(timing_frame(file.with_cache(kind).time(deep=self._is_deep(number))))
        for kind, rounds in timings.items():
            if len(rounds) == task.cache_rounds:
                self._progress.step(f"{task.label}: cache of {kind}, comparing with exact weights")
                with self._cache_stage(task, kind), self._comparing.one():
                    times = decode_columns(pl.concat(rounds), self._exercise) if rounds else {}
                    size = {"bytes_per_1000_tokens": 1000 * file.with_cache(kind).cache_bytes()}
                    values = {**self._cache_losses(task, file, kind), **times, **size}
                    row = {"engine": task.name, "cache_type": kind, **values}
                    self._store.add_rows(KV_CACHE, task.item.variant_id, [row])

    def _cache_losses(self, task: EngineTask, file: Ready, kind: str) -> Columns:
        """Return the losses with a type of the cache; the usual type's may be measured already."""
        prefix, (row,) = (
            task.engine.prefix,
            self._store.variants().filter(variant_id=task.item.variant_id).to_dicts(),
        )
        if kind == task.engine.usual_cache and row[task.engine.loss or ""] is not None:
            known = {name: row[f"{prefix}{name}"] for name in CACHE_LOSSES}
            return {name: value for name, value in known.items() if value is not None}
        return {name.removeprefix(prefix): value for name, value in file.with_cache(kind).losses().items()}

    def _cache_stage(self, task: EngineTask, kind: str) -> AbstractContextManager[None]:
        subject = f"{task.item.variant_id}: a cache of {kind} is not measured in {task.name}"
        return stage(reporting(self._progress, subject))
