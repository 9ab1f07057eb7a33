"""Measure what recipes based on divergence need to know of a model."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

from rich.console import Console

from evaluator.comparison.device_check import check_float32
from evaluator.comparison.layers.estimated_attribution import Estimator
from evaluator.comparison.layers.weight_error import place_of
from evaluator.export.exact.graph import load_graph
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.model_file import ModelFile
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf
from evaluator.quantize.guidance import (
    LEAST_ERROR,
    REFERENCE,
    Guidance,
    judging_plan,
    measurable,
    read_guidance,
    reference_plan,
    write_guidance,
)
from evaluator.quantize.imatrix import ImportanceMatrix
from evaluator.quantize.recipe import choices
from evaluator.quantize.variants import Job, make_variant, planned_bytes
from evaluator.results.manifest import Protocol
from evaluator.runtime.device import Device, DeviceChoice, choose_device
from evaluator.runtime.forward_pass import shape_of
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.memory_plan import Budget, plan_branches
from evaluator.support.atomic_files import scratch_beside
from evaluator.support.errors import RequestError, SourceError
from evaluator.support.outputs import prepare_output_folder
from evaluator.support.terminal import say
from evaluator.texts.sources import read_texts
from evaluator.texts.windows import Window, cut_windows, spread

#: Windows of the texts that the model is measured on, spread over all of them, and tokens in each.
_WINDOWS, _CONTEXT = 4, 128
#: Matrices named in a warning.
_NAMED = 5


@dataclass(frozen=True)
class Measuring:
    """How to measure a model: `--text`, `--device`, `--memory` and `--threads`."""

    texts: Sequence[str] = ()
    device: str = "auto"
    memory: float | None = None
    threads: int | None = None

    def check(self, recipe: str, *, needed: bool) -> None:
        """Check that texts are given if and only if they are needed.

        Raises:
            RequestError: they are missing or superfluous, or the device is not known.
        """
        if self.device not in get_args(DeviceChoice):
            raise RequestError(f"--device {self.device}: known: {', '.join(get_args(DeviceChoice))}")
        if needed and not self.texts:
            raise RequestError(f"recipe {recipe} measures the model on a text: --text FILE")
        if self.texts and not needed:
            raise RequestError(
                f"--text {self.texts[0]}: recipe {recipe} does not measure the model; leave it out"
            )


@dataclass(frozen=True)
class Passages:
    """What a model is measured on: windows of the texts, and the texts' SHA-256."""

    windows: Sequence[Window]
    sha256: Sequence[str]


def read_passages(source: ModelFile, measuring: Measuring, console: Console) -> Passages:
    """Return windows spread over all texts.

    Raises:
        RequestError: a text cannot be read, is too short or given twice.
    """
    texts = [
        text for item in measuring.texts for text in read_texts(item, source, lambda note: say(console, note))
    ]
    protocol = Protocol(context=_CONTEXT, first_scored=_CONTEXT // 2, chunks=None)
    windows, _ = cut_windows(texts, tokenizer_from_gguf(source), protocol, advice="use a longer text")
    chosen = [windows[index] for index in spread(len(windows), _WINDOWS)]
    return Passages(chosen, [text.sha256 for text in texts])


def guidance_path(out: Path, stem: str) -> Path:
    """Return where the measured divergences of a model are kept, beside its variants."""
    return out / f"{stem}-divergence.json"


def measured_guidance(
    source: ModelFile,
    digest: str,
    target: Path,
    importance: ImportanceMatrix | None,
    passages: Passages,
    measuring: Measuring,
    pool: ThreadPoolExecutor,
    console: Console,
) -> Guidance:
    """Measure the divergence that each matrix causes, unless `target` has it from the same files.

    Args:
        source: the model.
        digest: identifies it.
        target: file that keeps the result.
        importance: the importance matrix that variants are made with.
        passages: what it is measured on.
        measuring: how to compute.
        pool: threads to quantize on.
        console: where progress is printed.

    Raises:
        RequestError: the disk or the memory is too small.
        SourceError: the model cannot be read or quantized, or a divergence is not finite.
        EvaluatorError: the graph cannot be exported or computed.
    """
    plan = reference_plan(source)
    job = Job(digest, choices("main")[REFERENCE], plan, importance, target)
    parts = [job.fingerprint, LEAST_ERROR, _WINDOWS, _CONTEXT, *passages.sha256]
    fingerprint = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    known = read_guidance(target, fingerprint)
    if known is not None:
        say(console, f"{target}: divergences of {len(known.divergence)} matrices, measured earlier")
        _say_unjudged(known, console)
        return known
    prepare_output_folder(target.parent, planned_bytes(source, plan))
    with scratch_beside(target) as folder:
        say(console, f"measuring the divergence of {REFERENCE} matrix by matrix")
        plan, unjudged = judging_plan(source, plan, importance.means if importance else {}, pool)
        job = replace(job, plan=plan, target=folder / f"reference-{REFERENCE}.gguf")
        make_variant(source, job, pool)
        device = _device(source, passages.windows[0], measuring, console)
        places = _estimated(source, open_gguf(job.target), passages.windows, device, measuring.memory, folder)
    names = {name: place_of(name) for name in measurable(plan)}
    found = {name: places[place] for name, place in names.items() if place in places}
    if unknown := next((name for name, kld in found.items() if not math.isfinite(kld)), None):
        raise SourceError(
            source.path,
            f"tensor {unknown}: its divergence is not finite, because values of the model are not, or too large for "
            "float32; compare its checksum with its publisher's, or use a recipe that does not measure the model",
        )
    # Rounding may leave less than 0.
    divergence = {name: max(0.0, kld) for name, kld in found.items() if name not in unjudged}
    guidance = Guidance({name: plan[name] for name in found}, divergence)
    write_guidance(target, fingerprint, guidance)
    say(console, f"{target}: divergences of {len(divergence)} matrices")
    _say_unjudged(guidance, console)
    return guidance


def _say_unjudged(guidance: Guidance, console: Console) -> None:
    if names := guidance.unjudged:
        listed = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        reason = "no reference changes them, so they get types that do not either"
        say(
            console,
            f"warning: matrices that could not be judged ({len(names)}: {listed}): {reason}",
            "yellow",
        )


def _device(source: ModelFile, window: Window, measuring: Measuring, console: Console) -> Device:
    """Return where to compute; say why it is not a GPU that was hoped for.

    Raises:
        RequestError: the GPU gives other values than the CPU.
    """
    device = choose_device(cast(DeviceChoice, measuring.device), measuring.threads)
    if device.notice:
        say(console, device.notice, "yellow")
    if device.name != "cpu":
        check_float32(source, device, window)
    return device


def _estimated(
    source: ModelFile,
    reference: ModelFile,
    windows: Sequence[Window],
    device: Device,
    memory: float | None,
    folder: Path,
) -> dict[tuple[int, str], float]:
    model = LayeredModel(load_graph(source), device)
    budget = Budget.on(device, memory)
    ahead, most_bytes = plan_branches(model, source, shape_of(model, windows), budget)
    return Estimator(source, model, windows, folder, most_bytes, ahead=ahead).estimate(reference)
