"""Distribute the stages of variants over a Ray cluster, and bring their results back."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from types import TracebackType
from typing import Any

from evaluator.comparison.cluster.job import Answer, Job, Stage, Task, Trouble, reference_of
from evaluator.comparison.cluster.node_check import NodeError
from evaluator.comparison.cluster.worker import carry_out, remove_run
from evaluator.comparison.executor import Failed, KeepAttribution, KeepScores
from evaluator.comparison.layers.attribution import Attribution
from evaluator.comparison.stages import stage
from evaluator.comparison.variant_stages import ScoredVariant
from evaluator.planning.plan import Candidate
from evaluator.runtime.device import usable_cores
from evaluator.runtime.machine import free_memory
from evaluator.support.errors import EvaluatorError, RequestError, one_line
from evaluator.support.progress import RunProgress
from evaluator.support.units import GIGABYTE

LOCAL, CLIENT = "local", "ray://"
#: Times that a task is started again after its process or node was lost.
_RETRIES = 3
#: Seconds between looks at the nodes while nothing finishes, and until waiting for a node that fits is given up.
_LOOK, _PATIENCE = 5.0, 120.0
_CLEANING, _CONNECTING = 10.0, 10.0
#: Set before Ray is imported: no statistics are sent, and a GPU that a task did not ask for stays visible.
_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
#: Makes a local Ray listen on 127.0.0.1 only, on every system.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


def check_installed() -> None:
    """Check that Ray is installed.

    Raises:
        RequestError: it is not.
    """
    if importlib.util.find_spec("ray") is None:
        raise RequestError("--cluster needs Ray: pip install 'quantization-comparison[cluster]'")


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
        self._resources: dict[str, float] = {}
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
            self._ray = _connected(self._address, self._threads)
        except BaseException:
            self._quiet.close()
            raise
        nodes = self._nodes()
        cores = sum(node.get("CPU", 0) for node in nodes)
        gpus = sum(node.get("GPU", 0) for node in nodes)
        also = f" and {gpus:g} GPUs" if gpus else ""
        self._progress.say(f"cluster: {len(nodes)} nodes with {cores:g} CPUs{also}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel what is unfinished, remove what was left on the nodes, and disconnect."""
        ray = self._ray
        try:
            for reference in self._pending:
                ray.cancel(reference, force=True)
            if self._key and self._address != LOCAL:
                self._clean()
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
        self._send_job()
        task = self._ray.remote(run_task).options(max_retries=_RETRIES, **_options(self._resources))
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
        self._key, self._job = job.key, self._ray.put(job)

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
            raise NodeError(
                f"a node cannot run this program: {one_line(str(error.cause or error))}"
            ) from error
        except self._ray.exceptions.RayError as error:
            reason = f"lost {_RETRIES + 1} times, with its process or node: {type(error).__name__} {error}"
            failed(item, EvaluatorError(reason))
            return
        if isinstance(answer.result, Trouble):
            failed(item, in_full(answer.node.name, answer.result))
            return
        with stage(partial(failed, item)):
            keep(item, answer)

    def _nodes(self) -> list[Mapping[str, float]]:
        """Return the resources of each node that is up."""
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _fits(self) -> bool:
        """Return whether a task would fit on some node if nothing else ran there."""
        return any(fits(self._resources, node) for node in self._nodes())

    def _clean(self) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        task = self._ray.remote(remove_run)
        places = [
            NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            for node in self._ray.nodes()
            if node["Alive"]
        ]
        cleaning = [
            task.options(num_cpus=0, max_retries=0, scheduling_strategy=place).remote(self._key)
            for place in places
        ]
        self._ray.wait(cleaning, num_returns=len(cleaning), timeout=_CLEANING)


def run_task(job: Job, task: Task) -> Answer:
    """Carry out a task on the node where this runs."""
    import ray

    return carry_out(job, task, ray.get_runtime_context().get_node_id())


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


def resources_of(job: Job) -> dict[str, float]:
    """Return what a task takes, with Ray's names: CPUs, bytes of memory, GPUs."""
    if job.device == "cuda":
        return {"CPU": 1, "memory": job.memory_bytes, "GPU": 1}
    return {"CPU": job.threads, "memory": job.memory_bytes}


def fits(needed: Mapping[str, float], node: Mapping[str, float]) -> bool:
    """Return whether a node has the resources."""
    return all(node.get(name, 0) >= amount for name, amount in needed.items())


def in_words(resources: Mapping[str, float]) -> str:
    """Return resources in words."""
    gpu = ", a GPU" if "GPU" in resources else ""
    return f"{resources['CPU']:g} CPUs{gpu} and {resources['memory'] / GIGABYTE:.1f} GB of memory"


def _options(resources: Mapping[str, float]) -> dict[str, float]:
    return {
        "num_cpus": resources["CPU"],
        "memory": int(resources["memory"]),
        "num_gpus": resources.get("GPU", 0),
    }


def _connected(address: str, threads: int) -> Any:
    """Start Ray on this machine, or connect to a cluster; return the module.

    Raises:
        RequestError: that failed.
    """
    check_installed()
    _check_reachable(address)
    os.environ.update(_SETTINGS)
    options: dict[str, Any] = {"address": address}
    if address == LOCAL:
        os.environ.update(_LOOPBACK)
        options |= {
            "num_cpus": max(threads, usable_cores()),
            "_memory": free_memory(),
            "include_dashboard": False,
        }
    import ray

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with warnings.catch_warnings(action="ignore"):
            ray.init(**options, logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:  # of many kinds: no such address, other versions, a port that is taken
        raise RequestError(f"--cluster {address}: cannot connect: {one_line(str(error))}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)  # Ray installs its own
    return ray


def _check_reachable(address: str) -> None:
    """Check that a server listens at the address, because Ray waits minutes for one that does not.

    Raises:
        RequestError: none does.
    """
    place = None if address == LOCAL else _running_cluster() if address == "auto" else address
    if place is None:
        return
    host, _, port = place.removeprefix(CLIENT).rstrip("/").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECTING).close()
    except (OSError, ValueError) as error:
        raise RequestError(
            f"--cluster {address}: nothing answers at {place} ({error}); start one there with ray start --head, or "
            "correct the address"
        ) from error


def _running_cluster() -> str | None:
    """Return the address of the cluster that `auto` means; None if only Ray can tell."""
    if named := os.environ.get("RAY_ADDRESS"):
        return named if ":" in named else None
    folder = os.environ.get("RAY_TMPDIR") or ("/tmp" if os.name == "posix" else tempfile.gettempdir())  # noqa: S108
    note = Path(folder) / "ray" / "ray_current_cluster"
    return note.read_text(encoding="utf-8").strip() if note.is_file() else None
