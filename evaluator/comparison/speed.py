"""Time every variant's packed artifact, round by round, so that noise on the machine affects all alike."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from evaluator.comparison.engine_gap import engine_gap
from evaluator.comparison.stages import reporting, stage
from evaluator.export.exact.graph import Graph
from evaluator.export.folder import MODEL_FILE
from evaluator.export.packing.artifact import most_bytes, write_decoder
from evaluator.models.mapped import give_pages_back
from evaluator.planning.plan import Candidate, Plan
from evaluator.results.store import ResultsStore
from evaluator.runtime.peak_memory import peak_memory
from evaluator.runtime.timing import Exercise, Timing, time_artifact
from evaluator.support.errors import EvaluatorError
from evaluator.support.progress import RunProgress
from evaluator.support.units import GIGABYTE

#: A round is one load, one prefill and up to 32 decoded tokens per variant.
ROUNDS = 3
_SHARE_OF_DISK = 0.8


@dataclass(frozen=True)
class _Artifact:
    item: Candidate
    model: Path
    n_bytes: int


class SpeedRun:
    """Times the variants of a results folder that are not timed yet."""

    def __init__(
        self, plan: Plan, store: ResultsStore, graph: Graph, progress: RunProgress, memory: int
    ) -> None:
        """Take what the run gives; artifacts of more than `memory` bytes are not timed."""
        self._plan = plan
        self._memory = memory
        self._store = store
        self._graph = graph
        self._progress = progress
        self._exercise = Exercise.of(plan.windows[0].ids)
        self._on_gpu = plan.device.name == "cuda"

    def run(self) -> None:
        """Time all waiting variants; failures are reported, and their columns stay null.

        Raises:
            OSError: the disk is full.
        """
        untimed = self._store.untimed()
        waiting = [item for item in (self._plan.baseline, *self._plan.variants) if item.variant_id in untimed]
        reason = self._why_not()
        if waiting and reason:
            self._progress.say(f"speed is not measured: {reason}", "yellow")
            return
        if waiting and self._on_gpu:
            self._progress.say(
                "artifacts are in half precision; a GPU's peak memory is not measured", "yellow"
            )
        free = _SHARE_OF_DISK * shutil.disk_usage(self._store.folder).free
        for group in groups_within(waiting, _most_bytes, free):
            with self._store.scratch("artifacts") as folder:
                self._time_together(group, folder)

    def _why_not(self) -> str | None:
        if self._graph.decoder is None and self._graph.fused is None:
            return f"this model has no decoding graph: {self._graph.plain_reason}"
        return None

    def _time_together(self, group: Sequence[Candidate], folder: Path) -> None:
        artifacts: list[_Artifact] = []
        for item in group:
            with self._stage(item):
                artifacts.append(self._build(item, folder))
        for number in range(1, ROUNDS + 1):
            for artifact in artifacts:
                self._progress.step(f"timing {artifact.item.label}, round {number} of {ROUNDS}")
                with self._stage(artifact.item):
                    self._time(artifact, number)
        for artifact in artifacts:
            self._progress.step(f"{artifact.item.label}: memory and engine gap")
            with self._stage(artifact.item):
                self._finish(artifact)

    def _stage(self, item: Candidate) -> AbstractContextManager[None]:
        return stage(reporting(self._progress, f"{item.variant_id}: not timed"))

    def _build(self, item: Candidate, folder: Path) -> _Artifact:
        size = _most_bytes(item)
        if size > self._memory:
            raise EvaluatorError(
                f"its artifact takes up to {size / GIGABYTE:,.1f} GB, and "
                f"{self._memory / GIGABYTE:,.1f} GB may be used; see --memory"
            )
        self._progress.step(f"{item.label}: packing")
        target = folder / item.variant_id
        n_bytes = write_decoder(item.file, self._graph, target, exact=item.is_baseline, half=self._on_gpu)
        give_pages_back()
        return _Artifact(item, target / MODEL_FILE, n_bytes)

    def _time(self, artifact: _Artifact, number: int) -> None:
        """Time round `number` of one artifact, unless an interrupted run has stored it."""
        if rounds_in(self._store.timings(artifact.item.variant_id)) < number:
            timings = time_artifact(artifact.model, self._plan.device, self._exercise)
            self._store.add_timings(artifact.item.variant_id, timing_frame(timings))

    def _finish(self, artifact: _Artifact) -> None:
        """Write the speed columns of one artifact's row once all of its rounds are timed."""
        item, device = artifact.item, self._plan.device
        timings = self._store.timings(item.variant_id)
        if rounds_in(timings) < ROUNDS:
            return
        columns: dict[str, float | int] = {**speed_columns(timings), "artifact_bytes": artifact.n_bytes}
        if not self._on_gpu:
            columns["peak_rss_bytes"] = peak_memory(
                artifact.model, device.threads, len(self._exercise.prompt)
            )
        if (
            not item.is_baseline
        ):  # the baseline's artifact holds its exact weights, at most rounded to float16
            columns |= self._engine_gap(artifact)
        self._store.set_columns(item.variant_id, columns)
        self._progress.say(f"{item.label}: {columns['decode_ms_p50']:.1f} ms per token")

    def _engine_gap(self, artifact: _Artifact) -> dict[str, float]:
        """Return the engine gap's column, or none if it cannot be measured; the timings are kept either way.

        It fails where a GPU cannot hold the float32 weights to compare with, or where windows are longer than the
        artifact's context.
        """
        plan, item = self._plan, artifact.item
        columns: dict[str, float] = {}
        with stage(reporting(self._progress, f"{item.variant_id}: no engine gap")):
            gap = engine_gap(item.file, self._graph, artifact.model, plan.windows, plan.device)
            columns["deploy_kld_mean"] = gap
        return columns


def timing_frame(timings: Sequence[Timing]) -> pl.DataFrame:
    """Return one round's timings as rows of the speed frame; the store numbers the repetitions."""
    return pl.DataFrame([asdict(timing) for timing in timings])


def rounds_in(timings: pl.DataFrame) -> int:
    """Return how many rounds a variant's rows of the speed frame hold."""
    return timings.filter(pl.col("phase") == "load").height


def speed_columns(timings: pl.DataFrame) -> dict[str, float | int]:
    """Return the medians over rounds of load and prefill, and percentiles over all decoded tokens."""

    def of(phase: str) -> pl.DataFrame:
        return timings.filter(pl.col("phase") == phase)

    decode = (1000 * of("decode")["seconds"] / of("decode")["tokens"]).to_numpy()
    prefill = of("prefill")
    columns = {
        "load_s": float(np.median(of("load")["seconds"].to_numpy())),
        "prefill_tps": float(np.median((prefill["tokens"] / prefill["seconds"]).to_numpy())),
    }
    return columns | {
        f"decode_ms_p{percent}": float(np.percentile(decode, percent)) for percent in (10, 50, 90)
    }


def groups_within(
    items: Sequence[Candidate], most_bytes: Callable[[Candidate], float], free: float
) -> Iterator[list[Candidate]]:
    """Yield items in order, as many at a time as fit into `free` bytes; one that never fits comes alone."""
    group: list[Candidate] = []
    used = 0.0
    for item in items:
        if group and used + most_bytes(item) > free:
            yield group
            group, used = [], 0.0
        group.append(item)
        used += most_bytes(item)
    if group:
        yield group


def _most_bytes(item: Candidate) -> float:
    return most_bytes(item.file, exact=item.is_baseline)
