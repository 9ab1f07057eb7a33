"""Make several variants of a model; requests are checked before weights are measured or written."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

from evaluator.models.model_file import ModelFile
from evaluator.models.naming import model_name
from evaluator.models.sources.digests import remembered_sha256
from evaluator.models.sources.hub_source import Report, silent
from evaluator.quantize.dynamic import ErrorBook, check_target, most_bytes, share_out
from evaluator.quantize.guidance import Guidance
from evaluator.quantize.imatrix import ImportanceMatrix
from evaluator.quantize.like import PREFIX as LIKE_PREFIX
from evaluator.quantize.like import choice_like
from evaluator.quantize.recipe import Choice, choices
from evaluator.quantize.recipe_file import recipe_names
from evaluator.quantize.rescale import (
    rescaled_bytes,
    rescaled_digest,
    rescaled_name,
    rescaled_outline,
    rescaled_path,
)
from evaluator.quantize.tensor_types import choices_with
from evaluator.quantize.type_plan import make_plan
from evaluator.quantize.variants import Job, is_made, make_variant, planned_bytes, types_in
from evaluator.support.errors import RequestError
from evaluator.support.outputs import prepare_output_folder, refuse_overwriting
from evaluator.support.paths import accessing, typed_path
from evaluator.support.suggestions import did_you_mean
from evaluator.support.terminal import Description
from evaluator.support.units import MEGABYTE


def source_digest(source: ModelFile) -> str:
    """Return the SHA-256 over the SHA-256 of all files of a model."""
    return hashlib.sha256("".join(remembered_sha256(path) for path in source.files).encode()).hexdigest()


def select(recipe: str, quants: Sequence[str], report: Report = silent) -> list[Choice]:
    """Return the requested mixtures, each once, or the one of a file to follow, which has its own label.

    Args:
        recipe: a name, a file, or `like:SRC`.
        quants: labels of mixtures; none for `like:SRC`.
        report: called with a line about reading a file to follow.

    Raises:
        RequestError: the recipe or one of its mixtures is not known, or the labels are missing or superfluous.
    """
    if recipe.startswith(LIKE_PREFIX):
        if quants:
            raise RequestError(f"--recipe {recipe}: the file names its size; leave --types out")
        return [choice_like(recipe, report)]
    if not quants:
        raise RequestError(f"--types: name the sizes of recipe {recipe} to make, such as Q2_K,Q4_K_M")
    path = typed_path(recipe)
    with accessing(path):
        own_format = recipe in recipe_names() or path.suffix == ".toml" or not path.is_file()
    known = choices(recipe) if own_format else choices_with(path)
    selected = {}
    for quant in quants:
        label = next((name for name in known if name.lower() == quant.lower()), None)
        if label is None:
            hint = did_you_mean(quant, known)
            raise RequestError(f"recipe {recipe} has no {quant}{hint} (it has: {', '.join(known)})")
        selected[label] = known[label]
    return list(selected.values())


@dataclass(frozen=True)
class Evidence:
    """Measurements of a model that recipes may use; `guidance` is needed only by recipes based on divergence."""

    importance: ImportanceMatrix | None = None
    guidance: Guidance | None = None


def plan_jobs(
    source: ModelFile,
    selected: Sequence[Choice],
    out: Path,
    evidence: Evidence,
    pool: ThreadPoolExecutor,
    *,
    name: str | None = None,
    replace: bool = False,
) -> list[Job]:
    """Return a job per mixture, checked by `draft_jobs`, dynamic ones measured by `measure_dynamic`."""
    drafts = draft_jobs(source, selected, out, evidence, name=name, replace=replace)
    return measure_dynamic(source, drafts, evidence, pool)


def draft_jobs(
    source: ModelFile,
    selected: Sequence[Choice],
    out: Path,
    evidence: Evidence,
    *,
    name: str | None = None,
    rescale: bool = False,
    replace: bool = False,
) -> list[Job]:
    """Return a job per mixture, checked as far as possible without measuring weights.

    A dynamic mixture's job has the plan of the stock mixture that it is like.

    Args:
        source: the model, before it is rescaled.
        selected: the mixtures.
        out: folder for the files.
        evidence: measurements of the model.
        name: files are named NAME-LABEL.gguf; default: the model's name, with `-rescaled` if it is.
        rescale: make them from the rescaled model, which is then written to `out` too.
        replace: whether other files of these names may be replaced.

    Raises:
        RequestError: a recipe does not fit the model or lacks a measurement; or `out` cannot be written, is too
            small, or holds inputs or other files of these names.
        SourceError: the model's metadata is incomplete, or it cannot be rescaled.
    """
    means = evidence.importance.means if evidence.importance else None
    planned = rescaled_outline(source) if rescale else source
    stock = [make_plan(planned, choice, means) for choice in selected]
    for choice, plan in zip(selected, stock, strict=True):
        check_target(choice, plan, source, means or {})
    prepare_output_folder(out)
    digest, stem, n_bytes = source_digest(source), name or model_name(source), 0
    if rescale:
        digest, stem = rescaled_digest(digest), name or rescaled_name(source)
        if not is_made(rescaled_path(source, out), digest, replace=replace):
            n_bytes += rescaled_bytes(source)
    drafts = [
        Job(digest, choice, plan, evidence.importance, out / f"{stem}-{choice.file_label}.gguf")
        for choice, plan in zip(selected, stock, strict=True)
    ]
    followed = [path for choice in selected if choice.followed for path in choice.followed.files]
    inputs = (*source.files, *followed, *([evidence.importance.path] if evidence.importance else ()))
    refuse_overwriting(
        [*(job.target for job in drafts), *([rescaled_path(source, out)] if rescale else ())], inputs
    )
    missing = [job for job in drafts if not _may_be_made(job, replace=replace)]
    n_bytes += sum(most_bytes(job.choice, job.plan, source) + _header_bytes(source) for job in missing)
    prepare_output_folder(out, n_bytes)
    return drafts


def _may_be_made(job: Job, *, replace: bool) -> bool:
    """Return whether a job's file exists, assuming for dynamic mixtures that its types are right.

    A dynamic mixture's types are not known yet, so any file made from the same source and importances counts.
    """
    if job.choice.candidates:
        job = dataclasses.replace(job, plan=types_in(job.target))
    return is_made(job.target, job.fingerprint, replace=replace)


def measure_dynamic(
    source: ModelFile,
    drafts: Sequence[Job],
    evidence: Evidence,
    pool: ThreadPoolExecutor,
    advance: Callable[[str], None] = lambda _: None,
) -> list[Job]:
    """Return the jobs with their final plans; `advance` is called with the name of each measured matrix.

    Raises:
        SourceError: a matrix cannot be read or quantized.
    """
    means = evidence.importance.means if evidence.importance else {}
    book = ErrorBook(source, means, pool, advance)
    return [
        dataclasses.replace(job, plan=share_out(job.choice, job.plan, book, _guidance(job, evidence)))
        if job.choice.candidates
        else job
        for job in drafts
    ]


def _guidance(job: Job, evidence: Evidence) -> Guidance | None:
    """Return the guidance of a job that is based on divergence.

    Raises:
        RequestError: it was not measured.
    """
    if job.choice.sensitivity != "divergence":
        return None
    if evidence.guidance is None:
        raise RequestError(f"recipe {job.choice.recipe} measures the model on a text: --text FILE")
    return evidence.guidance


def make_all(
    source: ModelFile,
    jobs: Sequence[Job],
    pool: ThreadPoolExecutor,
    progress: Progress,
    *,
    replace: bool = False,
) -> list[Path]:
    """Make the files that do not exist yet and return them.

    Raises:
        RequestError: another file of the same name exists and may not be replaced, or the disk is too small.
        SourceError: a tensor cannot be read or quantized.
    """
    missing = [job for job in jobs if not is_made(job.target, job.fingerprint, replace=replace)]
    header = _header_bytes(source)
    for folder in {job.target.parent for job in missing}:
        plans = [job.plan for job in missing if job.target.parent == folder]
        prepare_output_folder(folder, sum(planned_bytes(source, plan) + header for plan in plans))
    for job in missing:
        megabytes = planned_bytes(source, job.plan) / MEGABYTE
        task = progress.add_task(f"{job.target.name}, {megabytes:,.0f} MB", total=source.n_params)
        make_variant(source, job, pool, lambda weights, task=task: progress.advance(task, weights))  # type: ignore[misc]
    return [job.target for job in missing]


def _header_bytes(source: ModelFile) -> int:
    """Return the bytes of a file besides its tensors."""
    return max(0, source.size_bytes - source.tensor_bytes)


def making_progress(console: Console) -> Progress:
    """Return a progress display with a bar per file, removed at the end; silent if `console` is not a terminal."""
    columns = (Description(), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
