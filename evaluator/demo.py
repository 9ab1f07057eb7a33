"""The demo: a real small model, five variants made here, four texts of our own, measured end to end."""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from evaluator.commands import run_comparison
from evaluator.config import Comparison, VariantSource
from evaluator.export.graph import cache_folder
from evaluator.quantize.rescale import SIGMA, write_rescaled_f16
from evaluator.quantize.stock import make_stock_variant
from evaluator.sources.gguf_file import open_gguf
from evaluator.sources.model_file import ModelFile
from evaluator.sources.resolve import resolve_one, sha256_of
from evaluator.windows import Text

DEMO_SOURCE = "smollm2-135m"
DEMO_MODEL = "SmolLM2-135M-Instruct"
DEMO_QUANTS = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
DEMO_DOMAINS = ("encyclopedic", "narrative", "dialogue", "source_code")

_NOTE = (
    "The published file is Q4_1. Its values were dequantized, rescaled without changing the function "
    f"(log-normal factors, σ = {SIGMA}) so that no format is favoured, and stored as F16: that is the baseline. "
    "The variants were made from it with llama.cpp's stock recipe, without an importance matrix."
)


def built_in_texts() -> list[Text]:
    """The texts that travel with the package, one per domain."""
    folder = importlib.resources.files("evaluator") / "texts"
    return [
        Text(domain, f"{domain}.txt", (folder / f"{domain}.txt").read_bytes().decode("utf-8"))
        for domain in DEMO_DOMAINS
    ]


def demo_files(console: Console) -> tuple[Path, list[Path]]:
    """Baseline and variants, made on first use and kept in the cache folder.

    Raises:
        RequestError: the package that carries the model is not installed.
    """
    source = open_gguf(resolve_one(DEMO_SOURCE))
    folder = cache_folder() / "demo" / sha256_of(source.path)[:12]
    baseline = folder / f"{DEMO_MODEL}-F16.gguf"
    _make(baseline, console, lambda: write_rescaled_f16(source, baseline))
    reference = open_gguf(baseline)
    return baseline, [_variant(reference, quant, folder, console) for quant in DEMO_QUANTS]


def _variant(reference: ModelFile, quant: str, folder: Path, console: Console) -> Path:
    path = folder / f"{DEMO_MODEL}-{quant}.gguf"
    _make(path, console, lambda: make_stock_variant(reference, quant, path))
    return path


def _make(path: Path, console: Console, write: Callable[[], None]) -> None:
    if not path.is_file():
        console.print(f"making {path.name}", highlight=False)
        write()


def run_demo(out: Path, threads: int | None, console: Console, *, force: bool = False) -> dict[str, Any]:
    """Measure the demo's variants into `out`; returns the summary of the run.

    Raises:
        RequestError: the model's package is missing, or `out` holds something else.
        EvaluatorError: the graph could not be exported.
    """
    baseline, variants = demo_files(console)
    comparison = Comparison(
        baseline=str(baseline),
        variants=tuple(VariantSource(method="main", source=str(path)) for path in variants),
        texts=DEMO_DOMAINS,
        out=out,
        threads=threads,
        baseline_note=_NOTE,
    )
    return run_comparison(comparison, console, force=force, built_in=built_in_texts())
