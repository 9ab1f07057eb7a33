"""Carry out tasks on a node; what tasks of the same run share is opened once per process."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from evaluator.comparison.cluster.job import Answer, Job, Task, Trouble
from evaluator.comparison.cluster.node_check import (
    NodeError,
    check_program,
    check_values,
    describe_node,
    device_here,
)
from evaluator.comparison.file_scorer import FileScorer, Subject
from evaluator.comparison.layers.attribution import Attribution
from evaluator.comparison.layers.drift import BaselineStream, Sample
from evaluator.comparison.variant_stages import ScoredVariant, VariantStages
from evaluator.export.exact.graph_files import graph_from_files
from evaluator.models.mapped import give_pages_back
from evaluator.results.manifest import Node
from evaluator.runtime.device import Device
from evaluator.runtime.machine import cpu_name
from evaluator.support.atomic_files import whole_file
from evaluator.support.cache import cache_folder
from evaluator.support.errors import SourceError, words_of
from evaluator.support.threads import use_threads
from evaluator.support.units import GIGABYTE

#: Added to a task's memory, so that rounding does not make it too small.
_ROUNDING = 1_000_000
#: Seconds after which another run's folder is removed: its nodes were killed, or the run would have removed it.
_ABANDONED = 7 * 24 * 3600.0


def node_folder(key: str, node_id: str) -> Path:
    """Return the folder in the cache for a run's files on a node."""
    return _runs() / key / node_id


def remove_run(key: str) -> None:
    """Remove what a run left on this machine."""
    shutil.rmtree(_runs() / key, ignore_errors=True)


def remove_abandoned(own: str) -> None:
    """Remove the folders of runs that ended long ago without cleaning up, except that of the run `own`.

    Other processes may be writing or removing these folders at the same time, so whatever fails is left for the
    next run.
    """
    with suppress(OSError):
        for folder in _runs().iterdir():
            with suppress(OSError):
                if folder.name != own and time.time() - _last_change(folder) > _ABANDONED:
                    shutil.rmtree(folder, ignore_errors=True)


def _last_change(folder: Path) -> float:
    """Return the time in seconds of the last change in a folder; files that vanish meanwhile do not count."""
    last = folder.stat().st_mtime
    for place in folder.rglob("*"):
        with suppress(FileNotFoundError):
            last = max(last, place.stat().st_mtime)
    return last


def _runs() -> Path:
    return cache_folder() / "cluster"


@dataclass(frozen=True)
class NodeWorker:
    """A process on a node, ready for the tasks of one run."""

    key: str
    node: Node
    device: Device
    stages: VariantStages

    @classmethod
    def start(cls, job: Job, node_id: str) -> NodeWorker:
        """Check this node and open what tasks share.

        Raises:
            NodeError: this node cannot be used.
            OSError: the disk is full.
        """
        check_program(job.program)
        remove_abandoned(job.key)
        use_threads(job.threads)
        device = device_here(job.device, job.threads)
        folder = node_folder(job.key, node_id)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            baseline = job.baseline.open()
        except SourceError as error:
            raise NodeError(f"baseline {error}") from error
        graph = graph_from_files(job.graph, folder / "graph", baseline)
        memory = (job.memory_bytes + _ROUNDING) / GIGABYTE
        scorer = FileScorer(baseline, graph, folder / "work", half=job.half, memory=memory)
        model = scorer.model(device)
        _once(folder / "checked", lambda: check_values(model, baseline, job.windows, job.nll))
        stream = None
        if job.residuals is not None:
            sample = Sample.of(job.windows, model.n_layers, model.sample_width)
            stream = BaselineStream(_written(folder / "residuals.npy", job.residuals), sample)
        hidden = job.hidden
        stages = VariantStages(baseline, scorer, job.windows, lambda: hidden, stream, folder / "work")
        return cls(job.key, describe_node(device), device, stages)

    def carry_out(self, task: Task) -> ScoredVariant | Attribution:
        """Carry out a task.

        Raises:
            EvaluatorError: the variant cannot be read or measured.
            OSError: the disk is full.
        """
        file = task.model.open()
        try:
            if task.stage == "attribute":
                return self.stages.attribute(file, self.device)
            return self.stages.score(Subject(task.name, file, task.model.sha256), self.device)
        finally:
            give_pages_back()


#: The worker of this process; a process serves one run after another.
_WORKERS: list[NodeWorker] = []


def carry_out(job: Job, task: Task, node_id: str) -> Answer:
    """Carry out a task on this node; errors are part of the answer.

    Args:
        job: what the run's tasks share.
        task: the task.
        node_id: names this node in the cluster.
    """
    node = Node(name=platform.node(), cpu=cpu_name())
    try:
        if not _WORKERS or _WORKERS[0].key != job.key:
            _WORKERS[:] = [NodeWorker.start(job, node_id)]
        worker = _WORKERS[0]
        node = worker.node
        return Answer(node, worker.carry_out(task))
    except (NodeError, OSError) as error:  # a full disk, for instance
        return Answer(node, Trouble(words_of(error), of_node=True))
    except Exception as error:  # an error of any kind in one file must not stop the others
        return Answer(node, Trouble(words_of(error)))


def _once(mark: Path, check: Callable[[], None]) -> None:
    """Run a check in the first process that comes here; others wait for it."""
    with FileLock(mark.with_suffix(".lock")):
        if not mark.is_file():
            check()
            mark.touch()


def _written(path: Path, values: npt.NDArray[np.float32]) -> Path:
    """Write an array to a file, unless the file exists."""
    if not path.is_file():
        with whole_file(path) as partial, partial.open("wb") as file:
            np.save(file, values)
    return path
