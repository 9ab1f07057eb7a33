"""The anchor: a file that was timed earlier and is timed once more where others are timed now.

Times of several runs compare only if the machine is as fast as it was, and only a measurement tells whether it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluator.comparison.engine_task import EngineTask
from evaluator.comparison.stages import reporting, stage
from evaluator.comparison.timings import speed_columns, timing_frame
from evaluator.engines import Case
from evaluator.planning.plan import Candidate, Plan
from evaluator.results.store import ResultsStore
from evaluator.runtime.timing import Exercise
from evaluator.support.progress import RunProgress

#: Share by which the median time per token may change.
_MOST_CHANGE = 0.1


@dataclass(frozen=True)
class Anchor:
    """Times a file of a results folder again, the same `exercise` as all."""

    plan: Plan
    store: ResultsStore
    progress: RunProgress
    exercise: Exercise

    def timed(self, task: EngineTask) -> set[str]:
        """Return the files of the model that have times in a task's engine."""
        untimed = self.store.untimed(task.name, f"{task.engine.prefix}decode_ms_p50")
        return set(self.store.measured(self.plan.model)) - untimed

    def notices(self, tasks: Sequence[EngineTask], case_of: Callable[[Candidate], Case]) -> Iterator[str]:
        """Time the anchor in each engine that times a file for the first time; yield what does not compare."""
        for of in {task.name: task for task in tasks if task.times}.values():
            timed = self.timed(of)
            is_new = (
                task.item.variant_id not in timed for task in tasks if task.times and task.name == of.name
            )
            if any(is_new) and (notice := self._notice(of, timed, case_of)):
                yield notice

    def _notice(
        self, task: EngineTask, timed: Collection[str], case_of: Callable[[Candidate], Case]
    ) -> str | None:
        """Return the notice that times in a task's engine do not compare with earlier ones; None if they do.

        They do if none are there, and if the anchor cannot be timed, which is reported. It is the smallest of the
        plan's files that are timed already, because it takes the shortest time.
        """
        known = [item for item in (self.plan.baseline, *self.plan.variants) if item.variant_id in timed]
        anchor = min(known, key=lambda item: (item.file.size_bytes, item.variant_id), default=None)
        if anchor is None:
            return None
        self.progress.step(f"timing {anchor.label}, {task.name}, again")
        (row,) = self.store.variants().filter(variant_id=anchor.variant_id).to_dicts()
        earlier = {f"decode_ms_p{n}": row[f"{task.engine.prefix}decode_ms_p{n}"] for n in (10, 50, 90)}
        report = reporting(self.progress, f"{anchor.variant_id}: not timed again in {task.name}")
        with self.store.scratch("anchor") as folder, stage(report):
            file = task.engine.prepare(case_of(anchor), folder / task.name)
            now = speed_columns(timing_frame(file.time(deep=False)), self.exercise)
            return changed_speed(f"{anchor.label}, {task.name}", earlier, now["decode_ms_p50"])
        return None


def changed_speed(label: str, earlier: Mapping[str, Any], now: float) -> str | None:
    """Return the notice that a file decodes at another speed than when it was timed; None if it does not.

    It does if its median lies outside the middle 80 % of the earlier times per token, and differs by more than a
    tenth from their median.

    Args:
        label: the file's and the engine's name.
        earlier: its `decode_ms_p10`, `decode_ms_p50` and `decode_ms_p90`, in ms per token.
        now: its median, measured again.
    """
    then = earlier["decode_ms_p50"]
    if earlier["decode_ms_p10"] <= now <= earlier["decode_ms_p90"] or abs(now / then - 1) <= _MOST_CHANGE:
        return None
    return (
        f"{label}: {then:.3g} ms per token when it was timed, {now:.3g} now, so times of files added now do not "
        "compare with earlier ones; --force measures all of them again"
    )
