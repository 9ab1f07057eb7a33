"""One comparison from start to end: baseline first, then each variant against it, each kept when finished."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from evaluator.config import Comparison
from evaluator.export.exact import head_weights
from evaluator.export.graph import Graph, is_cached, load_graph
from evaluator.layer_errors import weight_errors
from evaluator.machine import describe_machine, git_revision, package_versions
from evaluator.manifest import Failure, Manifest
from evaluator.metrics import measure
from evaluator.plan import Candidate, Plan
from evaluator.progress import RunProgress
from evaluator.runtime.scoring import Body, Head, WindowScores, score_windows
from evaluator.store import HiddenStates, ResultsStore
from evaluator.token_frames import token_frame, token_scores


@dataclass
class Outcome:
    """What a run achieved."""

    measured: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    nonfinite: dict[str, int] = field(default_factory=dict)


class ComparisonRun:
    """Carries one comparison out against a results folder."""

    def __init__(self, plan: Plan, comparison: Comparison, progress: RunProgress) -> None:
        self.plan = plan
        self.comparison = comparison
        self.progress = progress
        self.store = ResultsStore(comparison.out)
        self.outcome = Outcome(failures=list(plan.failures))
        self._hidden = HiddenStates(self.store.hidden_path(plan.baseline.variant_id))
        self._baseline_head: npt.NDArray[np.float32] | None = None

    def run(self, *, force: bool = False) -> Outcome:
        """Measure what is not measured yet.

        Raises:
            RequestError: the results folder belongs to something else.
            ExportError: the graph could not be exported.
            SourceError: the baseline turned out to be unreadable.
        """
        manifest = self._manifest()
        self.store.prepare(manifest, force=force)
        pending: list[Candidate] = []
        for item in self.plan.variants:
            if self._finished(item):
                self.outcome.reused.append(item.variant_id)
            else:
                pending.append(item)
        for failure in self.plan.failures:
            self.progress.say(f"skipped {failure.source}: {failure.reason}", "yellow")
        if pending or not self._finished(self.plan.baseline):
            self._measure_all(pending)
        self.store.discard_work()
        self.store.write_manifest(
            manifest.model_copy(update={"ended": datetime.now(UTC), "failures": self.outcome.failures})
        )
        return self.outcome

    def _finished(self, item: Candidate) -> bool:
        return self.store.finished(item.variant_id, item.sha256)

    def _measure_all(self, pending: list[Candidate]) -> None:
        graph = self._load_graph()
        scored = sum(len(window.targets) for window in self.plan.windows)
        shape = (len(self.plan.windows), len(self.plan.windows[0].targets))
        needs_baseline = not (self._finished(self.plan.baseline) and self._hidden.complete(shape))
        self.progress.plan(scored * (len(pending) + needs_baseline))
        if needs_baseline:
            self._measure(self.plan.baseline, graph)
        if pending:
            self._baseline_head = head_weights(self.plan.baseline.file)
        for item in pending:
            try:
                self._measure(item, graph)
            except OSError:  # a full disk would fail every other variant too
                raise
            except Exception as error:  # whatever is wrong with one file, the others go on
                reason = getattr(error, "reason", None) or f"{type(error).__name__} {error}".strip()
                self.outcome.failures.append(Failure(source=str(item.file.path), reason=reason))
                self.progress.say(f"failed {item.file.path}: {reason}", "red")

    def _load_graph(self) -> Graph:
        if not is_cached(self.plan.baseline.file):
            self.progress.step("exporting the graph with optimum")
        return load_graph(self.plan.baseline.file)

    def _measure(self, item: Candidate, graph: Graph) -> None:
        """Score one file, compute its row and keep both."""
        self.progress.step(f"{item.method} {item.quant}: loading")
        body = Body(item.file, graph, self.plan.device)
        head = Head(head_weights(item.file), self._baseline_head, self.plan.device)
        self.progress.step(f"{item.method} {item.quant}")
        scores = self._score_baseline(body, head) if item.is_baseline else self._score_variant(body, head)
        provider = body.provider
        del body, head
        self._keep(item, scores, provider)

    def _score_baseline(self, body: Body, head: Head) -> list[WindowScores]:
        n_windows = len(self.plan.windows)
        scores = score_windows(
            body,
            head,
            self.plan.windows,
            itertools.repeat(None, n_windows),
            keep_hidden=lambda index, hidden: self._hidden.put(index, n_windows, hidden),
            advance=self.progress.advance,
        )
        self._hidden.seal()
        return scores

    def _score_variant(self, body: Body, head: Head) -> list[WindowScores]:
        return score_windows(body, head, self.plan.windows, self._hidden, advance=self.progress.advance)

    def _keep(self, item: Candidate, scores: list[WindowScores], provider: str) -> None:
        tokens = token_frame(self.plan.windows, scores)
        reference = None if item.is_baseline else self.store.tokens(self.plan.baseline.variant_id)
        size = item.file.size_bytes
        token_columns, n_nonfinite = token_scores(tokens, reference, size)
        columns, warnings = measure(token_columns)
        for warning in warnings:
            self.progress.say(f"{item.variant_id}: {warning}", "yellow")
        if n_nonfinite:
            self.outcome.nonfinite[item.variant_id] = n_nonfinite
            self.progress.say(f"{item.variant_id}: {n_nonfinite} non-finite tokens left out", "yellow")
        row = {
            **_identity(item, self.plan, provider),
            "size_bytes": size,
            "n_tokens": tokens.height,
            "n_nonfinite": n_nonfinite,
            **columns,
        }
        layers = None
        if self.comparison.layers and not item.is_baseline:
            layers = weight_errors(item.variant_id, item.file, self.plan.baseline.file)
        self.store.add(pl.DataFrame([row], infer_schema_length=None), tokens, layers)
        self.outcome.measured.append(item.variant_id)
        self.progress.say(_one_line(item, columns))

    def _manifest(self) -> Manifest:
        baseline = self.plan.baseline
        return Manifest(
            model=self.plan.model,
            baseline_id=baseline.variant_id,
            baseline_sha256=baseline.sha256,
            baseline_note=self.comparison.baseline_note,
            device=self.plan.device.name,
            provider=self.plan.device.provider,
            threads=self.plan.device.threads,
            protocol=self.comparison.protocol,
            texts=list(self.plan.texts),
            packages=package_versions(),
            machine=describe_machine(),
            started=datetime.now(UTC),
            git_revision=git_revision(),
        )


def _identity(item: Candidate, plan: Plan, provider: str) -> dict[str, object]:
    return {
        "variant_id": item.variant_id,
        "model": plan.model,
        "method": item.method,
        "quant": item.quant,
        "is_baseline": item.is_baseline,
        "source": item.file.path.name,
        "sha256": item.sha256,
        "device": plan.device.name,
        "provider": provider,
        "n_params": item.file.n_params,
        "bits_per_weight": item.file.bits_per_weight,
    }


def _one_line(item: Candidate, columns: dict[str, float | int | None]) -> str:
    parts = [f"{item.method} {item.quant}: {item.file.bits_per_weight:.2f} bits per weight"]
    for name, template in (
        ("ppl", "PPL {:.4f}"),
        ("kld_mean", "KLD {:.5f}"),
        ("same_top", "same top {:.1%}"),
    ):
        value = columns.get(name)
        if value is not None:
            parts.append(template.format(value))
    return ", ".join(parts)
