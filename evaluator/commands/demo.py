"""Run the demo: a real small model, four variants of it and the built-in texts, measured end to end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from evaluator.commands.run import run_comparison
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.sources.digests import remembered_sha256
from evaluator.models.sources.resolve import resolve_one
from evaluator.planning.config import Comparison, VariantSource
from evaluator.quantize.batch import Evidence, make_all, making_progress, plan_jobs, select
from evaluator.quantize.rescale import SIGMA, write_rescaled_f16
from evaluator.support.cache import cache_folder
from evaluator.support.progress_lines import Display
from evaluator.support.terminal import say
from evaluator.support.threads import usable_cores
from evaluator.texts.sources import BUILT_IN

DEMO_SOURCE = "smollm2-135m"
DEMO_MODEL = "SmolLM2-135M-Instruct"
DEMO_QUANTS = ("Q2_K", "Q4_K_M", "Q5_K_M", "Q8_0")

#: Tokens of a window, windows of each text, and windows that engines are compared on: as few as answers can rest on,
#: because the demo should take no more than three minutes on two cores.
_CONTEXT, _WINDOWS, _ENGINE_WINDOWS = 256, 2, 2

_NOTE = (
    "No publisher made these files: they were made here, from a rescaled Q4_1, by llama.cpp's stock recipe, without "
    "an importance matrix. The baseline is the published Q4_1, dequantized, rescaled without changing the function "
    f"(log-normal factors, σ = {SIGMA}) so that no format is favoured, and stored as F16."
)


def rescaled_baseline(published: Path, name: str, console: Console) -> Path:
    """Return a published file's model, rescaled: a file made on first use and kept in the cache folder.

    Raises:
        SourceError: the published file cannot be read.
    """
    source = open_gguf(published)
    folder = cache_folder() / "demo" / remembered_sha256(source.path)[:12]
    baseline = folder / f"{name}-F16.gguf"
    if not baseline.is_file():
        say(console, f"making {baseline.name}")
        write_rescaled_f16(source, baseline)
    return baseline


def demo_files(console: Console) -> tuple[Path, list[Path]]:
    """Return the files of the baseline and the variants, made on first use and kept in the cache folder.

    Raises:
        RequestError: the package that contains the model is not installed.
    """
    baseline = rescaled_baseline(resolve_one(DEMO_SOURCE, partial(say, console)), DEMO_MODEL, console)
    reference = open_gguf(baseline)
    with (
        ThreadPoolExecutor(usable_cores()) as pool,
        making_progress(console) as progress,
    ):
        selected = select("main", DEMO_QUANTS)
        jobs = plan_jobs(
            reference, selected, baseline.parent, Evidence(), pool, name=DEMO_MODEL, replace=True
        )
        make_all(reference, jobs, pool, progress, replace=True)
    return baseline, [job.target for job in jobs]


def run_demo(
    out: Path, threads: int | None, console: Console, *, force: bool = False, display: Display = "text"
) -> dict[str, Any]:
    """Measure the demo's variants into `out` and return the summary of the run.

    Raises:
        RequestError: the model's package is missing, or `out` holds something else.
        EvaluatorError: the graph could not be exported.
    """
    baseline, variants = demo_files(console)
    comparison = Comparison(
        baseline=str(baseline),
        variants=tuple(VariantSource(method="main", source=str(path)) for path in variants),
        texts=(BUILT_IN,),
        out=out,
        threads=threads,
        baseline_note=_NOTE,
        context=_CONTEXT,
        chunks=_WINDOWS,
        engine_windows=_ENGINE_WINDOWS,
        deep=False,
    )
    return run_comparison(comparison, console, force=force, display=display)
