"""Write down what a run measures, from which files and on which machine: its manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from evaluator.models.architectures import described
from evaluator.models.architectures.rotary import beyond_training, made_for
from evaluator.models.tokenizers.scheme import scheme_name
from evaluator.planning.config import Comparison
from evaluator.planning.plan import Plan
from evaluator.results.manifest import Manifest, MemoryUse, Node
from evaluator.runtime.machine import describe_machine, git_revision, package_versions
from evaluator.runtime.memory_plan import SHARE
from evaluator.support.units import size_in_words

_PLACES = {"device": "in memory", "host": "in the computer's memory", "disk": "on disk"}


def manifest_of(plan: Plan, comparison: Comparison, measured: Iterable[str]) -> Manifest:
    """Return the manifest of a run that starts now.

    Args:
        plan: the run.
        comparison: the request.
        measured: variants that the results folder already holds.
    """
    baseline = plan.baseline
    files = [item.file for item in (baseline, *plan.variants)]
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
        exporter="composed" if described(baseline.file) else "optimum",
        trained_context=made_for(baseline.file),
        pre=scheme_name(baseline.file),
        pre_named=plan.pre_named,
        texts=list(plan.texts),
        packages=package_versions(),
        machine=describe_machine(),
        started=datetime.now(UTC),
        git_revision=git_revision(),
        n_planned=len(planned),
        notices=[
            *filter(None, [beyond_training(baseline.file, comparison.context)]),
            *(f"{file.name}: {file.notice}" for file in files if file.notice),
        ],
        gpu_indices=[device.index for device in plan.devices if device.name == "cuda"],
    )


def changes_for(
    manifest: Manifest, variant_id: str, seconds: Mapping[str, float], node: Node | None
) -> dict[str, object]:
    """Return the manifest's fields that change when a variant is scored.

    Args:
        manifest: the manifest so far.
        variant_id: the variant.
        seconds: seconds of each stage.
        node: the machine of a cluster that scored it; None for this machine.
    """
    rounded = {name: round(value, 3) for name, value in seconds.items()}
    others = {name: other for name, other in manifest.nodes.items() if name != variant_id}
    return {
        "stage_seconds": manifest.stage_seconds | {variant_id: rounded},
        "nodes": others | ({variant_id: node} if node else {}),
    }


def in_words(memory: MemoryUse) -> str:
    """Return in one line how much memory a run may use, and for what."""
    source = "--memory" if memory.requested else f"{SHARE:.0%} of what is free; --memory changes it"
    pieces = "two parts of a layer at a time" if memory.ahead else "one part of a layer at a time"
    return (
        f"memory: at most {size_in_words(memory.budget_bytes)} ({source}); weights: {pieces}, up to "
        f"{size_in_words(memory.piece_bytes)} each; hidden states of all windows: "
        f"{size_in_words(memory.stream_bytes)}, {_PLACES[memory.streams]}"
    )
