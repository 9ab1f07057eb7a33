"""Distribute the stages of variants over a Ray cluster, and bring their results back."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from functools import partial
from types import TracebackType
from typing import Any

from evaluator.comparison.cluster.connection import LOCAL, connected
from evaluator.comparison.cluster.job import Answer, Job, Stage, Task, Trouble, reference_of
from evaluator.comparison.cluster.node_check import NodeError
from evaluator.comparison.cluster.resources import Resources, fits, in_words, options_of, resources_of
from evaluator.comparison.cluster.worker import carry_out, remove_run
from evaluator.comparison.executor import Failed, KeepAttribution, KeepScores
from evaluator.comparison.layers.attribution import Attribution
from evaluator.comparison.stages import stage
from evaluator.comparison.variant_stages import ScoredVariant
from evaluator.planning.plan import Candidate
from evaluator.support.errors import EvaluatorError, RequestError
from evaluator.support.progress import RunProgress
from evaluator.support.units import counted

#: Times that a task is started again after its process or node was lost.
_RETRIES = 3
#: Seconds between looks at the nodes while nothing finishes, and until waiting for a node that fits is given up.
_LOOK, _PATIENCE = 5.0, 120.0
_CLEANING = 10.0


class RayCluster:
    """Runs stages on the nodes of a cluster while within `with`; see `Executor`."""

    def __init__(
        self, address: str, threads: int, make_job: Callable[[], Job], progress: RunProgress
    ) -> None:
        """Do not connect yet.

        Args:
            address: local, auto or ray://HOST:PORT.
            threads: threads of a task on a CPU.
            make_job: returns what the tasks share; called once, before the first task.
            progress: where to report.
        """
        self._address, self._threads, self._make_job, self._progress = address, threads, make_job, progress
        self._ray: Any = None
        self._job: Any = None
        self._key: str | None = None
        self._resources: Resources = {}
        self._pending: dict[Any, Candidate] = {}
        self._quiet = ExitStack()

    def __enter__(self) -> RayCluster:
        """Connect, or start Ray on this machine.

        Raises:
            RequestError: there is no cluster at the address, or it has other versions.
        """
        self._progress.step("connecting to the cluster")
        # Ray prints about lost workers to stdout, which is for results.
        self._quiet.enter_context(redirect_stdout(sys.stderr))
        try:
            self._ray = connected(self._address, self._threads)
        except BaseException:
            self._quiet.close()
            raise
        nodes = self._nodes()
        cores = sum(node.get("CPU", 0) for node in nodes)
        gpus = sum(node.get("GPU", 0) for node in nodes)
        also = f" and {gpus:g} GPUs" if gpus else ""
        self._progress.say(f"cluster: {counted(len(nodes), 'node')} with {counted(cores, 'CPU')}{also}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel what is unfinished, remove what was left on the nodes, and disconnect."""
        ray = self._ray
        try:
            with suppress(
                Exception
            ):  # of a cluster that is lost, for instance: the run's own error is the one to show
                for reference in self._pending:
                    ray.cancel(reference, force=True)
                if self._key and self._address != LOCAL:
                    self._clean(self._key)
        finally:
            ray.shutdown()
            self._quiet.close()
            if self._key and self._address == LOCAL:
                remove_run(self._key)

    def score(self, items: Sequence[Candidate], keep: KeepScores, failed: Failed) -> None:
        """Score variants, as many at a time as the cluster has room for.

        Raises:
            NodeError: a node cannot be used.
            EvaluatorError: no node has enough CPUs, memory or GPUs.
        """

        def scored(item: Candidate, answer: Answer) -> None:
            if isinstance(answer.result, ScoredVariant):
                keep(item, answer.result, answer.node)

        self._distribute("score", items, scored, failed)

    def attribute(self, items: Sequence[Candidate], keep: KeepAttribution, failed: Failed) -> None:
        """Attribute variants, as many at a time as the cluster has room for.

        Raises:
            NodeError: a node cannot be used.
            EvaluatorError: no node has enough CPUs, memory or GPUs.
        """

        def attributed(item: Candidate, answer: Answer) -> None:
            if isinstance(answer.result, Attribution):
                keep(item, answer.result)

        self._distribute("attribute", items, attributed, failed)

    def _distribute(
        self,
        kind: Stage,
        items: Sequence[Candidate],
        keep: Callable[[Candidate, Answer], None],
        failed: Failed,
    ) -> None:
        if not items:
            return
        with while_connected(self._address):
            self._send_job()
            task = self._ray.remote(run_task).options(max_retries=_RETRIES, **options_of(self._resources))
            for item in items:
                request = Task(kind, item.variant_id, reference_of(item))
                self._pending[task.remote(self._job, request)] = item
            while self._pending:
                self._progress.step(f"{len(self._pending)} of {len(items)} variants left on the cluster")
                reference = self._next_done()
                item = self._pending.pop(reference)
                self._take(item, reference, keep, failed)

    def _send_job(self) -> None:
        """Send what tasks share, once, if some node can run a task.

        Raises:
            RequestError: no node can.
        """
        if self._job is not None:
            return
        job = self._make_job()
        self._resources = resources_of(job)
        if not self._fits():
            raise RequestError(
                f"no node of the cluster has {in_words(self._resources)}, which a task takes; "
                "use smaller --threads or --memory, or larger nodes"
            )
        self._key = job.key
        try:
            self._job = self._ray.put(job)
        except ConnectionError:
            raise
        except Exception as error:  # of many kinds; as a client, also those of the cluster's head
            raise NodeError(f"the cluster cannot take what a run sends: {in_short(error)}") from error

    def _next_done(self) -> Any:
        """Wait for a task.

        Raises:
            EvaluatorError: no node that is left can run the others.
        """
        since = time.monotonic()
        while True:
            done, _ = self._ray.wait(list(self._pending), num_returns=1, timeout=_LOOK)
            if done:
                return done[0]
            if self._fits():
                since = time.monotonic()
            elif time.monotonic() - since > _PATIENCE:
                raise EvaluatorError(
                    f"no node of the cluster is left with {in_words(self._resources)}, which a task takes; what was "
                    "finished is kept: run the same command again to resume"
                )

    def _take(
        self,
        item: Candidate,
        reference: Any,
        keep: Callable[[Candidate, Answer], None],
        failed: Failed,
    ) -> None:
        """Keep a task's result, or report its failure.

        Raises:
            NodeError: the task's node cannot be used.
        """
        try:
            answer: Answer = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:  # before the task began: errors in it are answers
            cause = error.cause if isinstance(error.cause, Exception) else error
            where = getattr(error, "ip", "of the cluster")
            raise NodeError(f"node {where}: cannot run this program: {in_short(cause)}") from error
        except self._ray.exceptions.RayError as error:
            reason = f"lost {_RETRIES + 1} times, with its process or node: {type(error).__name__} {error}"
            failed(item, EvaluatorError(reason))
            return
        if isinstance(answer.result, Trouble):
            failed(item, in_full(answer.node.name, answer.result))
            return
        with stage(partial(failed, item)):
            keep(item, answer)

    def _nodes(self) -> list[Resources]:
        """Return the resources of each node that is up."""
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _fits(self) -> bool:
        """Return whether a task would fit on some node if nothing else ran there."""
        return any(fits(self._resources, node) for node in self._nodes())

    def _clean(self, key: str) -> None:
        """Remove what the run left on the nodes."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        task = self._ray.remote(remove_run)
        places = [
            NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            for node in self._ray.nodes()
            if node["Alive"]
        ]
        cleaning = [
            task.options(num_cpus=0, max_retries=0, scheduling_strategy=place).remote(key) for place in places
        ]
        self._ray.wait(cleaning, num_returns=len(cleaning), timeout=_CLEANING)


@contextmanager
def while_connected(address: str) -> Iterator[None]:
    """Tell that the connection was lost as what it is: to Python, Ray's `ConnectionError` is one of the disk's.

    Raises:
        EvaluatorError: the connection to the cluster was lost.
    """
    try:
        yield
    except ConnectionError as error:
        raise EvaluatorError(
            f"--cluster {address}: the connection was lost; what was finished is kept: run the same command again "
            "to resume"
        ) from error


def run_task(job: Job, task: Task) -> Answer:
    """Carry out a task on the node where this runs."""
    import ray

    return carry_out(job, task, ray.get_runtime_context().get_node_id())


def in_short(error: Exception) -> str:
    """Return an error of Ray, whose first line says what happened, and what to do about it."""
    said = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return f"{said}; install the same version of this program, with its extras, on every node"


def in_full(node: str, trouble: Trouble) -> EvaluatorError:
    """Return the error of a variant.

    Raises:
        NodeError: the node cannot be used for any variant.
    """
    reason = f"node {node}: {trouble.reason}"
    if trouble.of_node:
        raise NodeError(
            f"{reason}; repair the node or take it out of the cluster; what was finished is kept: run the same "
            "command again to resume"
        )
    return EvaluatorError(reason)
