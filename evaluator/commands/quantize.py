"""Carry out `quantize` and `imatrix`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import cast, get_args

import numpy as np
from gguf import GGMLQuantizationType as GGMLType
from rich.console import Console

from evaluator.commands.guidance import Measuring, guidance_path, measured_guidance, read_passages
from evaluator.comparison.device_check import check_float32
from evaluator.export.exact.graph import load_graph
from evaluator.models.architectures.rotary import check_context
from evaluator.models.model_file import ModelFile
from evaluator.models.naming import model_name
from evaluator.models.sources.open_model import open_model
from evaluator.models.sources.resolve import resolve_one
from evaluator.models.tokenizers.scheme import check_named, with_named_scheme
from evaluator.models.tokenizers.tokenizer import TextTokenizer, tokenizer_from_gguf
from evaluator.quantize.activations import imatrix_windows, squared_activations
from evaluator.quantize.batch import Evidence, draft_jobs, make_all, making_progress, measure_dynamic, select
from evaluator.quantize.coverage import fit_to_model, rare_experts, uncovered, uncovered_line
from evaluator.quantize.imatrix import ImportanceMatrix, read_imatrix, write_imatrix
from evaluator.quantize.rescale import SIGMA, rescaled_path, write_rescaled_f16
from evaluator.quantize.target import Target, choice_for
from evaluator.quantize.tensor_types import tensor_type_lines
from evaluator.quantize.type_plan import fallbacks
from evaluator.quantize.variants import is_made
from evaluator.runtime.device import DeviceChoice, choose_device
from evaluator.support.atomic_files import whole_file
from evaluator.support.errors import RequestError, SourceError
from evaluator.support.outputs import prepare_output_folder, refuse_overwriting
from evaluator.support.paths import accessing
from evaluator.support.terminal import say
from evaluator.support.threads import usable_cores, use_threads
from evaluator.support.units import MEGABYTE, counted
from evaluator.texts.sources import read_texts, text_file
from evaluator.texts.windows import Window


def fit_importance(matrix: ImportanceMatrix, source: ModelFile, console: Console) -> ImportanceMatrix:
    """Return the entries that fit `source` and warn about the others.

    Raises:
        RequestError: the importance matrix was measured on another model.
    """
    fitting, faults = fit_to_model(matrix, source)
    for fault in faults:
        say(console, f"warning: {fault}", "yellow")
    return fitting


def quantize_model(
    baseline: str,
    recipe: str,
    quants: Sequence[str],
    out: Path,
    console: Console,
    *,
    imatrix: Path | None = None,
    target: Target | None = None,
    measuring: Measuring | None = None,
    rescale: bool = False,
    threads: int | None = None,
    replace: bool = False,
) -> list[Path]:
    """Make the variants that do not exist yet and return the files of all requested ones.

    The request is checked first; then the rescaled baseline is written, and dynamic sizes are measured on it.

    Raises:
        RequestError: the request is wrong. Nothing has been written then, with one exception: whether an existing
            file of a dynamic size has other types than now measured shows after the rescaled baseline is written.
        SourceError: the model cannot be read or quantized.
    """
    use_threads(threads)
    measuring = dataclasses.replace(measuring or Measuring(), threads=threads)
    if target and quants:
        raise RequestError(f"--types {','.join(quants)}: has no effect beside a target; give one of them")
    report = partial(say, console)
    target = target.with_size(report) if target else None
    selected = [] if target else select(recipe, quants, report)
    given = read_imatrix(imatrix) if imatrix else None
    source, difference = _open(baseline, console).as_written()
    check_named(source)
    if difference:
        say(console, difference, "yellow")
    importance = fit_importance(given, source, console) if given else None
    if target:
        selected = [choice_for(recipe, target, source, importance.means if importance else None)]
    guided = any(choice.candidates and choice.sensitivity == "divergence" for choice in selected)
    measuring.check(recipe, needed=guided)
    evidence = Evidence(importance)
    drafts = draft_jobs(source, selected, out, evidence, rescale=rescale, replace=replace)
    if importance and (names := uncovered(drafts, source)):
        say(console, f"warning: {uncovered_line(names, importance)}", "yellow")
    for job in drafts:
        if fallen := fallbacks(source, job.choice, importance=importance is not None):
            say(console, f"{job.target.name}: {_fallen(fallen)}")
    passages = read_passages(source, measuring, console) if guided else None
    if rescale:
        source = _rescaled(source, out, drafts[0].digest, console, replace=replace)
    pool = ThreadPoolExecutor(threads or usable_cores())
    with pool, making_progress(console) as progress:
        if passages:
            kept = guidance_path(out, model_name(source))
            digest = drafts[0].digest
            found = measured_guidance(source, digest, kept, importance, passages, measuring, pool, console)
            evidence = dataclasses.replace(evidence, guidance=found)
        task = progress.add_task("measuring sensitivity", total=None, visible=False)
        jobs = measure_dynamic(
            source,
            drafts,
            evidence,
            pool,
            lambda name: progress.update(task, description=f"measuring {name}", visible=True),
        )
        progress.update(task, visible=False)
        made = make_all(source, jobs, pool, progress, replace=replace)
    for job in jobs:
        if job.choice.sensitivity == "divergence":
            _write_types(job.target, console, replace=replace)
        state = "made" if job.target in made else "already exists"
        say(console, f"{job.target}: {state}, {job.target.stat().st_size / MEGABYTE:,.1f} MB")
    return [job.target for job in jobs]


def _write_types(made: Path, console: Console, *, replace: bool) -> None:
    """Write the types of a file beside it, for llama-quantize's `--tensor-type-file` or for `--recipe`.

    A file of other types, which a hand may have changed, is kept unless it may be replaced.
    """
    target = made.with_suffix(".types.txt")
    content = ("\n".join(tensor_type_lines(open_model(made))) + "\n").encode()
    if target.exists() and not replace and target.read_bytes() != content:
        say(console, f"{target}: kept, although {made.name} has other types; --force replaces it", "yellow")
        return
    with whole_file(target) as partial:
        partial.write_bytes(content)


def _fallen(fallen: Mapping[tuple[GGMLType, GGMLType], int]) -> str:
    listed = ", ".join(f"{got.name} for {wanted.name} ×{count}" for (wanted, got), count in fallen.items())
    return f"rows that do not divide into a type's blocks get another type, as in llama.cpp: {listed}"


def _rescaled(
    source: ModelFile, out: Path, fingerprint: str, console: Console, *, replace: bool
) -> ModelFile:
    """Write the function-preserving rescaling of `source` to `out` as F16, unless it exists, and open it."""
    target = rescaled_path(source, out)
    if not is_made(target, fingerprint, replace=replace):
        write_rescaled_f16(source, target, fingerprint=fingerprint)
    note = f"rescaled without changing what it computes (log-normal factors, σ = {SIGMA}), stored as F16"
    say(console, f"{target}: the baseline of these variants: {source.name} {note}")
    return open_model(target)


def measure_imatrix(
    baseline: str,
    texts: Sequence[str],
    out: Path,
    console: Console,
    *,
    context: int = 512,
    chunks: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    memory: float | None = None,
    pre: str | None = None,
) -> None:
    """Measure an importance matrix on all windows of all texts and write it to `out`.

    Raises:
        RequestError: a text or the baseline cannot be used, or `out` cannot be written or is one of them.
        SourceError: the baseline's graph does not hold for windows of `context` tokens.
        ExportError: the baseline's graph cannot be exported.
    """
    if device not in get_args(DeviceChoice):
        raise RequestError(f"--device {device}: known: {', '.join(get_args(DeviceChoice))}")
    use_threads(threads)
    source = with_named_scheme(_open(baseline, console), pre)
    check_context(source, context)
    with accessing(out):
        is_folder = out.is_dir()
    if is_folder:
        raise RequestError(f"--out {out}: is a folder; name a file in it, such as {out / 'imatrix.gguf'}")
    refuse_overwriting([out], [*source.files, *filter(None, map(text_file, texts))])
    prepare_output_folder(out.parent)
    with making_progress(console) as progress:
        task = progress.add_task("reading texts and the graph", total=None)
        contents = [
            text
            for item in texts
            for text in read_texts(item, source, lambda note: progress.update(task, description=note))
        ]
        windows = imatrix_windows(contents, _tokenizer(source), context, chunks)
        graph = load_graph(source)
        chosen = choose_device(cast(DeviceChoice, device), threads)
        if chosen.notice:
            say(console, chosen.notice, "yellow")
        if chosen.name != "cpu":
            progress.update(task, description="comparing the GPU with the CPU")
            check_float32(source, chosen, Window(0, "", windows[0].astype(np.int32), context // 2))
        n_tokens = len(windows) * context
        progress.update(task, description="measuring activations", total=n_tokens)
        found = squared_activations(
            source,
            graph,
            chosen,
            windows,
            lambda share, where: progress.update(
                task, description=f"measuring activations, {where}", completed=n_tokens * share
            ),
            memory,
            out,
        )
    names = [text.name for text in contents]
    write_imatrix(out, found.sums, len(windows) * context, context, names, found.counts)
    say(console, f"{out}: {len(found.sums)} matrices, {counted(len(windows), 'window')} of {context} tokens")
    for line in rare_experts(out, found.counts):
        say(console, f"warning: {line}", "yellow")


def _open(baseline: str, console: Console) -> ModelFile:
    try:
        return open_model(resolve_one(baseline, partial(say, console)))
    except SourceError as error:
        raise RequestError(f"baseline {error}") from error


def _tokenizer(source: ModelFile) -> TextTokenizer:
    try:
        return tokenizer_from_gguf(source)
    except SourceError as error:
        raise RequestError(f"baseline {error}") from error
