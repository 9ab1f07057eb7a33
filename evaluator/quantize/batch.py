"""Several variants of one model: everything is planned and checked before the first weight is touched."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

from evaluator.errors import RequestError
from evaluator.frames import MEGABYTE
from evaluator.quantize.dynamic import Attribution, ErrorBook, share_out
from evaluator.quantize.imatrix import ImportanceMatrix
from evaluator.quantize.plan import make_plan
from evaluator.quantize.recipe import Choice, choices, recipe_names
from evaluator.quantize.tensor_types import choices_with
from evaluator.quantize.variants import Job, is_made, make_job, make_variant, planned_bytes
from evaluator.room import make_room
from evaluator.sources.model_file import ModelFile
from evaluator.sources.naming import model_name
from evaluator.sources.resolve import sha256_of
from evaluator.terminal import Description


def source_digest(source: ModelFile) -> str:
    """SHA-256 over the SHA-256 of all files of a model."""
    return hashlib.sha256("".join(sha256_of(path) for path in source.files).encode()).hexdigest()


def select(recipe: str, quants: Sequence[str]) -> list[Choice]:
    """The mixtures that were asked for.

    Raises:
        RequestError: the recipe or one of its mixtures is not known.
    """
    path = Path(recipe).expanduser()
    own_format = recipe in recipe_names() or path.suffix == ".toml" or not path.is_file()
    known = choices(recipe) if own_format else choices_with(path)
    found = []
    for quant in quants:
        label = next((name for name in known if name.lower() == quant.lower()), None)
        if label is None:
            near = difflib.get_close_matches(quant, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise RequestError(f"recipe {recipe} has no {quant}{hint} (it has: {', '.join(known)})")
        found.append(known[label])
    return found


@dataclass(frozen=True)
class Evidence:
    """What is known of a model besides its weights. `attribution` is needed by recipes that go by it."""

    importance: ImportanceMatrix | None = None
    attribution: Attribution | None = None


def plan_jobs(
    source: ModelFile,
    selected: Sequence[Choice],
    out: Path,
    evidence: Evidence,
    pool: ThreadPoolExecutor,
    *,
    name: str | None = None,
    advance: Callable[[str], None] = lambda _: None,
) -> list[Job]:
    """A job per mixture; files are called NAME-LABEL.gguf, NAME being the model's unless given.

    Dynamic mixtures are measured here; `advance` gets the name of each matrix that was.

    Raises:
        RequestError: a recipe does not fit the model, needs evidence that is not there, or `out` cannot be written.
        SourceError: the model's metadata are incomplete, or a matrix cannot be measured.
    """
    means = evidence.importance.means if evidence.importance else None
    stock = [make_plan(source, choice, means) for choice in selected]
    make_room(out)
    book = ErrorBook(source, means or {}, pool, advance)
    plans = [
        share_out(choice, plan, book, evidence.attribution) if choice.candidates else plan
        for choice, plan in zip(selected, stock, strict=True)
    ]
    digest = source_digest(source)
    targets = [out / f"{name or model_name(source)}-{choice.label}.gguf" for choice in selected]
    return [
        make_job(digest, choice, plan, evidence.importance, target)
        for choice, plan, target in zip(selected, plans, targets, strict=True)
    ]


def make_all(
    source: ModelFile,
    jobs: Sequence[Job],
    pool: ThreadPoolExecutor,
    progress: Progress,
    *,
    replace: bool = False,
) -> list[Path]:
    """Make the files that are not there yet; returns those that were made.

    Raises:
        RequestError: another file is in the place of one, and is not to be replaced; or they do not fit on the disk.
        SourceError: a tensor cannot be read or quantized.
    """
    missing = [job for job in jobs if not is_made(job.target, job.fingerprint, replace=replace)]
    header = max(0, source.size_bytes - source.tensor_bytes)
    for folder in {job.target.parent for job in missing}:
        plans = [job.plan for job in missing if job.target.parent == folder]
        make_room(folder, sum(planned_bytes(source, plan) + header for plan in plans))
    for job in missing:
        megabytes = planned_bytes(source, job.plan) / MEGABYTE
        task = progress.add_task(f"{job.target.name}, {megabytes:,.0f} MB", total=source.n_params)
        make_variant(source, job, pool, lambda weights, task=task: progress.advance(task, weights))  # type: ignore[misc]
    return [job.target for job in missing]


def making_progress(console: Console) -> Progress:
    """A bar per file, gone when all are done; nothing where `console` is no terminal."""
    columns = (Description(), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
