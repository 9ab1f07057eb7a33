"""Make and measure the sample results: one real small model, quantized by three publishers' recipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from evaluator.commands.demo import DEMO_MODEL, demo_baseline
from evaluator.commands.quantize import fit_importance, measure_imatrix
from evaluator.commands.run import run_comparison
from evaluator.models.gguf.reader import open_gguf
from evaluator.planning.config import Comparison, VariantSource
from evaluator.quantize.batch import Evidence, make_all, making_progress, plan_jobs, select
from evaluator.quantize.imatrix import read_imatrix
from evaluator.quantize.rescale import SIGMA
from evaluator.support.errors import RequestError
from evaluator.support.terminal import say
from evaluator.support.threads import usable_cores, use_threads
from evaluator.texts.sources import BUILT_IN, read_texts

#: Windows of the calibration text.
CALIBRATION_WINDOWS = 100
_STOCK = ("Q2_K", "Q3_K_M", "Q4_0", "Q4_K_S", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0")
SAMPLE_QUANTS: Mapping[str, Sequence[str]] = {
    "main": _STOCK,
    "bartowski": _STOCK,
    "unsloth": (
        *("UD-IQ2_M", "UD-Q2_K_XL", "UD-IQ3_XXS", "UD-Q3_K_XL", "UD-Q4_K_XL", "UD-Q5_K_XL"),
        *("UD-Q6_K_XL", "UD-Q8_K_XL"),
    ),
}

#: Attribution takes minutes per variant, so only one small size of each method is attributed, plus one middle size.
ATTRIBUTED: Mapping[str, Sequence[str]] = {
    "main": ("Q2_K", "Q4_K_M"),
    "bartowski": ("Q2_K",),
    "unsloth": ("UD-Q2_K_XL",),
}

_NOTE = (
    "The published file is Q4_1. Its values were dequantized, rescaled without changing the function "
    f"(log-normal factors, σ = {SIGMA}) so that no format is favoured, and stored as F16: that is the baseline. "
    "No publisher made these variants: they were made here, from that baseline, by recipes that follow the "
    "publishers': main without an importance matrix, bartowski and unsloth with one measured on {calibration} "
    "({windows} windows of 512 tokens), which is not one of the evaluation texts."
)


def run_sample(
    text: str,
    calibration: str,
    out: Path,
    console: Console,
    *,
    chunks: int | None = None,
    threads: int | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Make the sample's variants, measure them into `out`, and return the summary of the run.

    Args:
        text: text to evaluate on besides the built-in ones: `[DOMAIN=]FILE` or a known name.
        calibration: text to measure the importance matrix on.
        out: results folder.
        console: where progress is printed.
        chunks: at most this many windows per text.
        threads: default: the cores this process may use.
        force: measure again what is already measured.

    Raises:
        RequestError: a text cannot be used, or is given for both calibration and evaluation.
        EvaluatorError: the graph could not be exported.
    """
    use_threads(threads)
    baseline = demo_baseline(console)
    source = open_gguf(baseline)
    calibrated, evaluated = (
        read_texts(item, source, partial(say, console))[0] for item in (calibration, text)
    )
    if calibrated.sha256 == evaluated.sha256:
        raise RequestError(f"{calibrated.name}: the calibration text must not be an evaluation text too")
    folder = baseline.parent / "sample"
    imatrix = folder / f"imatrix-{calibrated.sha256[:12]}.gguf"
    if not imatrix.is_file():
        measure_imatrix(
            str(baseline), [calibration], imatrix, console, chunks=CALIBRATION_WINDOWS, threads=threads
        )
    importance = fit_importance(read_imatrix(imatrix), source, console)
    variants = _make(baseline, folder, Evidence(importance), console, threads)
    comparison = Comparison(
        baseline=str(baseline),
        variants=tuple(VariantSource(method=method, source=str(path)) for method, path in variants),
        texts=(text, BUILT_IN),
        out=out,
        chunks=chunks,
        threads=threads,
        baseline_note=_NOTE.format(calibration=calibrated.name, windows=importance.chunks),
    )
    run_comparison(_attributed(comparison), console, force=force)
    return run_comparison(comparison, console)


def _attributed(comparison: Comparison) -> Comparison:
    """Return `comparison` cut down to the attributed variants, with attribution on and speed off."""
    ends = {method: tuple(f"-{quant}.gguf" for quant in quants) for method, quants in ATTRIBUTED.items()}
    chosen = tuple(item for item in comparison.variants if item.source.endswith(ends[item.method]))
    return comparison.model_copy(update={"variants": chosen, "attribution": True, "speed": False})


def _make(
    baseline: Path, folder: Path, evidence: Evidence, console: Console, threads: int | None
) -> list[tuple[str, Path]]:
    """Make the variants that the cache folder does not hold yet; return (method, file) of all."""
    source = open_gguf(baseline)
    made: list[tuple[str, Path]] = []
    pool = ThreadPoolExecutor(threads or usable_cores())
    with pool, making_progress(console) as progress:
        for method, quants in SAMPLE_QUANTS.items():
            used = Evidence() if method == "main" else evidence
            jobs = plan_jobs(
                source, select(method, quants), folder / method, used, pool, name=DEMO_MODEL, replace=True
            )
            make_all(source, jobs, pool, progress, replace=True)
            made += [(method, job.target) for job in jobs]
    return made
