"""Run a comparison: score the baseline, then each variant against it, and store each as it finishes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import polars as pl

from evaluator.comparison.attribution_run import AttributionRun
from evaluator.comparison.cluster.job import Job, job_of
from evaluator.comparison.cluster.ray_cluster import RayCluster
from evaluator.comparison.derived_frames import derive, is_derived
from evaluator.comparison.engine_run import EngineRun
from evaluator.comparison.exact_states import ExactStates
from evaluator.comparison.executor import Executor, OnDevices, subject_of
from evaluator.comparison.file_scorer import FileScorer, Subject
from evaluator.comparison.half_precision import settled_precision
from evaluator.comparison.layers.drift import BaselineStream, Sample
from evaluator.comparison.left_out import check_varying, left_out, valueless, without_values
from evaluator.comparison.measured_row import MeasuredRow, in_one_line, measured_row
from evaluator.comparison.noise_floor import Bf16Noise, floor_windows, noise_floor
from evaluator.comparison.outcome import Outcome
from evaluator.comparison.run_manifest import changes_for, in_words, manifest_of
from evaluator.comparison.stages import reporting, stage
from evaluator.comparison.token_frames import token_frame
from evaluator.comparison.variant_stages import ScoredVariant, VariantStages
from evaluator.export.exact.graph import Graph, is_cached, load_graph
from evaluator.models.mapped import give_pages_back
from evaluator.models.tokenizers.vocabulary import vocabulary_frame
from evaluator.planning.config import Comparison
from evaluator.planning.plan import Candidate, Plan
from evaluator.results.manifest import Failure, Node, NoiseFloor, Precision, measured_with
from evaluator.results.store import ResultsStore
from evaluator.support.errors import SourceError, reason_of
from evaluator.support.progress import RunProgress
from evaluator.texts.windows import n_scored

_FLOOR = "noise floor"


class ComparisonRun:
    """Carries out one comparison into a results folder that is locked for it."""

    def __init__(
        self, plan: Plan, comparison: Comparison, store: ResultsStore, progress: RunProgress
    ) -> None:
        self.plan = plan
        self.comparison = comparison
        self.store = store
        self.progress = progress
        self.outcome = Outcome(failures=list(plan.failures))
        self._hidden = self.store.hidden_states(plan.baseline.variant_id)
        self._keeping = threading.Lock()
        self._precision: Precision = "float32"

    def run(self, *, force: bool = False) -> Outcome:
        """Measure what is not measured yet.

        Raises:
            RequestError: the results folder belongs to another comparison.
            ExportError: the graph could not be exported.
            SourceError: the baseline is unusable.
        """
        manifest = manifest_of(
            self.plan, self.comparison, () if force else self.store.measured(self.plan.model)
        )
        self.store.prepare(manifest, force=force)
        self.store.write_vocabulary(self._vocabulary())
        for failure in self.plan.failures:
            self.progress.say(f"skipped {failure.source}: {failure.reason}", "yellow")
        with ExitStack() as self._open:
            self._carry_out(measured_with(manifest))
        self.store.finish(datetime.now(UTC), self.outcome.failures, self.plan.sources)
        return self.outcome

    def _carry_out(self, means: Mapping[str, object]) -> None:
        """Measure what is missing; the manifest gets `means` only if something is measured."""
        pending = self._pending()
        if pending or self.store.manifest.noise_floor is None or not self._finished(self.plan.baseline):
            self.store.update_manifest(**means)
            self._measure_all(pending)
        if not is_derived(self.store):
            self.progress.stage("comparing variants")
            derive(self.store)
        if self.comparison.attribution and self._ids & self.store.unattributed():
            self.store.update_manifest(**means)
            self.progress.stage("attributing losses to matrices")
            AttributionRun(self.plan, self.store, self.progress).run(self._executor)
        if not self._engines.is_complete:
            if self.comparison.cluster and self.comparison.speed:
                self.progress.say("speed is timed here: times of different machines do not compare")
            self.progress.stage("running files in engines")
            budget = self._scorer.budget(self.plan.device)
            self._engines.run(lambda: self._graph, budget.device, means)
        self._record_valueless()

    def _pending(self) -> list[Candidate]:
        """Return the variants to score, and print why where they were scored before."""
        pending: list[Candidate] = []
        lacking = self.store.without_layers() if self.comparison.layers else set()
        for variant_id in sorted(self.store.without_tokens()):
            left_out_until = "left out of comparisons until a run names its file"
            next_step = "measuring it again" if variant_id in self._ids else left_out_until
            self.progress.say(f"{variant_id}: its tokens are damaged or missing; {next_step}", "yellow")
        for item in self.plan.variants:
            if not self._finished(item):
                pending.append(item)
            elif item.variant_id in lacking:
                self.progress.say(f"{item.variant_id}: scoring it again to measure its layers", "yellow")
                pending.append(item)
            else:
                self.outcome.reused.append(item.variant_id)
        return pending

    def _vocabulary(self) -> pl.DataFrame:
        ids = np.unique(np.concatenate([window.targets for window in self.plan.windows]))
        return vocabulary_frame(self.plan.baseline.file, self.plan.model, ids.tolist())

    @property
    def _ids(self) -> set[str]:
        return {item.variant_id for item in (self.plan.baseline, *self.plan.variants)}

    def _finished(self, item: Candidate) -> bool:
        return self.store.finished(item.variant_id, item.sha256)

    def _measure_all(self, pending: list[Candidate]) -> None:
        baseline, windows = self.plan.baseline, self.plan.windows
        self.progress.stage("scoring files")
        if self.plan.device.name != "cpu":
            self._settle_precision()
        memory = self._scorer.check_memory(windows, self.plan.device)
        self.store.update_manifest(memory=memory)
        self.progress.say(in_words(memory))
        scored = n_scored(windows)
        shape = (len(windows), len(windows[0].targets))
        needs_baseline = not (self._finished(baseline) and self._hidden.complete(shape))
        if self.comparison.layers and not self._stream.is_complete:
            needs_baseline = True
        lacks_floor = self.store.manifest.noise_floor is None
        floor = n_scored(windows[i] for i in self._floor_windows) if lacks_floor else 0
        names = [item.label for item in [baseline] * needs_baseline + pending]
        self.progress.plan(scored * len(names) + floor, names + [_FLOOR] * lacks_floor)
        executor = self._executor if pending else None  # an unreachable cluster fails before all work
        if needs_baseline:
            self._measure_baseline()
        if executor:
            for item in pending:  # an interrupted run may have left those of another file
                self._states.forget(item)
            self._states.keep([it.variant_id for it in pending if self._engines.compares(it.file)])
            executor.score(pending, self._keep, self._failed)
        if lacks_floor:
            with stage(reporting(self.progress, _FLOOR)):
                self.store.update_manifest(noise_floor=self._measure_floor())

    def _settle_precision(self) -> None:
        """Determine the precision that the GPU computes in."""
        _ = self._graph  # exported before the next step is shown, so that its own step is shown
        self.progress.step("comparing the GPU with the CPU")
        self._precision = settled_precision(self.plan, self.store, self.progress.say)

    def _failed(self, item: Candidate, error: Exception) -> None:
        """Record why a variant failed."""
        failure = Failure(source=str(item.file.path), reason=reason_of(error, item.file.path))
        self.outcome.failures.append(failure)
        self._say_failed(failure)

    @cached_property
    def _graph(self) -> Graph:
        if not is_cached(self.plan.baseline.file):
            self.progress.step("exporting the graph with optimum")
        return load_graph(self.plan.baseline.file, self.progress.say)

    @cached_property
    def _scorer(self) -> FileScorer:
        file, half = self.plan.baseline.file, self._precision == "float16"
        memory, passes = self.comparison.memory, len(self.plan.devices)
        return FileScorer(file, self._graph, self.store.work, half=half, memory=memory, passes=passes)

    @cached_property
    def _stream(self) -> BaselineStream:
        model = self._scorer.model(self.plan.device)
        sample = Sample.of(self.plan.windows, model.n_layers, model.sample_width)
        return BaselineStream(self.store.work / f"{self.plan.baseline.variant_id}.residuals.npy", sample)

    @cached_property
    def _stages(self) -> VariantStages:
        kept, stream = self._hidden, self._stream if self.comparison.layers else None
        return VariantStages(
            self.plan.baseline.file,
            self._scorer,
            self.plan.windows,
            lambda: kept.values() if kept.path.is_file() else None,
            stream,
            self.store.work,
            self._states.stored,
        )

    @cached_property
    def _states(self) -> ExactStates:
        return ExactStates(self.plan, self.store, lambda: self._scorer, self.comparison.engine_windows)

    @cached_property
    def _engines(self) -> EngineRun:
        return EngineRun(self.plan, self.store, self.progress, self.comparison, self._states)

    @cached_property
    def _executor(self) -> Executor:
        """What runs the stages of variants: this process, or a cluster."""
        if self.comparison.cluster is None:
            return OnDevices(self._stages, self.plan.devices, self.progress)
        address, threads = self.comparison.cluster, self.plan.device.threads
        return self._open.enter_context(RayCluster(address, threads, self._job, self.progress))

    def _job(self) -> Job:
        tokens = self.store.tokens(self.plan.baseline.variant_id)
        return job_of(self.plan, self._stages, self._graph, tokens, half=self._precision == "float16")

    def _measure_baseline(self) -> None:
        """Score the baseline and store what variants are compared with."""
        item, windows = self.plan.baseline, self.plan.windows
        self.progress.step(item.label)
        stream = self._stream if self.comparison.layers else None
        scored = self._scorer.score(
            subject_of(item),
            windows,
            self.plan.device,
            None,
            observer=stream,
            stored=self._hidden,
            advance=self.progress.task(item.label, n_scored(windows)),
        )
        if stream:
            stream.seal()
        self._keep(item, ScoredVariant(scored))
        give_pages_back()

    def _measure_floor(self) -> NoiseFloor | None:
        """Measure the noise floor: the baseline with noise on its weights, on some of the windows."""
        baseline, chosen = self.plan.baseline, list(self._floor_windows)
        windows = [self.plan.windows[index] for index in chosen]
        scored = self._scorer.score(
            Subject("noise-floor", Bf16Noise.of(baseline.file), f"noise on {baseline.sha256}"),
            windows,
            self.plan.device,
            self._hidden.values()[chosen],
            advance=self.progress.task(_FLOOR, n_scored(windows)),
        )
        reference = self.store.tokens(baseline.variant_id)
        return noise_floor(token_frame(windows, scored.scores), reference)

    @property
    def _floor_windows(self) -> Sequence[int]:
        return floor_windows(len(self.plan.windows))

    def _keep(self, item: Candidate, variant: ScoredVariant, node: Node | None = None) -> None:
        """Compute the row of a scored file, and store it with what was measured."""
        scored = variant.scored
        tokens = token_frame(self.plan.windows, scored.scores)
        reference = None if item.is_baseline else self.store.tokens(self.plan.baseline.variant_id)
        check_varying(item.file, tokens, self.plan.device.name)
        row = measured_row(item, self.plan, scored.provider, tokens, reference)
        if item.is_baseline and row.n_nonfinite == tokens.height:
            raise SourceError(item.file.path, without_values(tokens.height))
        with self._keeping:
            for warning in row.warnings:
                self.progress.say(f"{item.variant_id}: {warning}", "yellow")
            if row.n_nonfinite:
                self.outcome.nonfinite[item.variant_id] = row.n_nonfinite
            self.store.add(row.frame, tokens, variant.layers)
            spent = changes_for(self.store.manifest, item.variant_id, scored.seconds, node)
            self.store.update_manifest(**spent)
            self.outcome.measured.append(item.variant_id)
            self._say_measured(item, row)

    def _say_measured(self, item: Candidate, row: MeasuredRow) -> None:
        for _, failure in valueless(row.frame, {item.variant_id: item.file.path}):
            self._say_failed(failure)
            return
        if row.n_nonfinite:
            half = " (in half precision)" if self._precision == "float16" else ""
            notice = left_out(f"{item.variant_id}, {item.file.name}", row.values)
            self.progress.say(notice + half, "yellow")
        self.progress.say(in_one_line(item, row.values))

    def _record_valueless(self) -> None:
        """Record as failed the variants, measured now or earlier, that have no usable value for any token."""
        files = {item.variant_id: item.file.path for item in self.plan.variants}
        for variant_id, failure in valueless(self.store.variants(), files):
            self.outcome.failures.append(failure)
            if variant_id in self.outcome.reused:
                self._say_failed(failure)

    def _say_failed(self, failure: Failure) -> None:
        self.progress.say(f"failed {failure.source}: {failure.reason}", "red")
