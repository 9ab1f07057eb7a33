"""Write down what a run measures, from which files and on which machine: its manifest."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from evaluator.models.tokenizers.scheme import scheme_name
from evaluator.planning.config import Comparison
from evaluator.planning.plan import Plan
from evaluator.results.manifest import Manifest
from evaluator.runtime.machine import describe_machine, git_revision, package_versions
from evaluator.runtime.window_memory import beyond_training


def manifest_of(plan: Plan, comparison: Comparison, measured: Iterable[str]) -> Manifest:
    """Return the manifest of a run that starts now.

    Args:
        plan: the run.
        comparison: the request.
        measured: variants that the results folder already holds.
    """
    baseline = plan.baseline
    planned = {item.variant_id for item in plan.variants}.union(measured).difference({baseline.variant_id})
    return Manifest(
        model=plan.model,
        baseline_id=baseline.variant_id,
        baseline_sha256=baseline.sha256,
        baseline_note=comparison.baseline_note,
        device=plan.device.name,
        provider=plan.device.provider,
        threads=plan.device.threads,
        protocol=comparison.protocol,
        pre=scheme_name(baseline.file),
        pre_named=plan.pre_named,
        texts=list(plan.texts),
        packages=package_versions(),
        machine=describe_machine(),
        started=datetime.now(UTC),
        git_revision=git_revision(),
        n_planned=len(planned),
        notices=list(filter(None, [beyond_training(baseline.file, comparison.context)])),
        gpu_indices=[device.index for device in plan.devices if device.name == "cuda"],
    )
