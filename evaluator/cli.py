"""`python -m evaluator`: commands, flags and exit statuses."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from evaluator import flags
from evaluator.support.cache import FULL, cache_advice
from evaluator.support.errors import EvaluatorError, RequestError, SourceError
from evaluator.support.interrupts import interruptible
from evaluator.support.terminal import say

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_console = Console(stderr=True)

_RESUMABLE = "what was finished is kept: run the same command again to resume"
_SOME_FAILED, _WRONG_REQUEST = 1, 2
#: Base class of typer's errors about flags, which it does not export.
_FlagError: type[Exception] = typer.BadParameter.__mro__[1]


@app.callback()
def _root() -> None:
    """Measure quantized versions of a language model against a baseline."""


@app.command()
def run(
    comparison: flags.Comparison = None,
    baseline: Annotated[str | None, typer.Option(help="SRC of the reference model.")] = None,
    variant: flags.Variants = None,
    text: flags.EvaluationTexts = None,
    out: flags.Results = None,
    context: flags.Window = None,
    chunks: flags.Chunks = None,
    device: Annotated[str | None, typer.Option(help="auto (default), cpu or cuda.")] = None,
    threads: flags.Threads = None,
    memory: flags.Memory = None,
    cluster: flags.Cluster = None,
    pre: flags.Pre = None,
    no_layers: Annotated[bool, typer.Option("--no-layers", help="Skip layers.parquet.")] = False,
    attribution: flags.Attribution = False,
    no_speed: Annotated[bool, typer.Option("--no-speed", help="No times, no packed artifacts.")] = False,
    rounds: flags.Rounds = None,
    engines: Annotated[str | None, typer.Option(help="Default: llama.cpp,onnxruntime.")] = None,
    kv_cache: Annotated[str | None, typer.Option(help="Types to compare, such as f16,q8_0,q4_0.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Measure again what is already measured.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary on stdout as JSON.")] = False,
    progress: flags.Progress = "text",
) -> None:
    """Measure variants against a baseline on the same windows of the same texts."""
    from evaluator.commands.run import run_comparison
    from evaluator.planning.config import VariantSource, requested

    given = {
        "baseline": baseline,
        "variants": [VariantSource.parse(item) for item in variant or []],
        "texts": text,
        "out": out,
        "context": context,
        "chunks": chunks,
        "device": device,
        "threads": threads,
        "memory": memory,
        "cluster": cluster,
        "pre": pre,
        "layers": False if no_layers else None,
        "attribution": True if attribution else None,
        "speed": False if no_speed else None,
        "rounds": rounds,
        "engines": [name.strip() for name in engines.split(",")] if engines is not None else None,
        "kv_cache": [name.strip() for name in kv_cache.split(",")] if kv_cache is not None else None,
    }
    request = requested(comparison, given)
    with _interruptible():
        summary = run_comparison(request, _console, force=force, display=progress)
    if as_json:
        typer.echo(json.dumps(summary, indent=2))
    if summary["failures"]:
        raise typer.Exit(_SOME_FAILED)


@app.command()
def export(
    source: Annotated[str, typer.Argument(help="SRC of the model.")],
    out: Annotated[Path, flags.path_option(help="Folder for the ONNX model.")],
    weights: Annotated[str, typer.Option(help="exact, or packed for deployment.")] = "exact",
    baseline: Annotated[
        str | None, typer.Option(help="SRC of the model to compare with in the receipt of packed weights.")
    ] = None,
) -> None:
    """Write a model as ONNX that plain onnxruntime runs; packed weights come with a KV cache."""
    from evaluator.commands.run import export_model

    with _interruptible("nothing was exported: run the same command again"):
        export_model(source, out, weights, baseline, _console)


@app.command()
def demo(
    out: Annotated[Path, flags.path_option(help="Results folder.")] = Path("demo_results"),
    threads: flags.Threads = None,
    force: Annotated[bool, typer.Option("--force", help="Measure again what is already measured.")] = False,
    progress: flags.Progress = "text",
) -> None:
    """Evaluate a real small model end to end and print the command that opens the result."""
    from evaluator.commands.demo import run_demo

    with _interruptible():
        summary = run_demo(out, threads, _console, force=force, display=progress)
    typer.echo(f"Measured. Open it with: python -m dashboard {shlex.quote(str(out))}")
    if summary["failures"]:
        raise typer.Exit(_SOME_FAILED)


@app.command()
def sample(
    calibration: flags.Calibration = "wikitext-2-valid",
    text: Annotated[
        str, typer.Option(help="Text to evaluate on besides the built-in ones: [DOMAIN=]FILE or a name.")
    ] = "wikitext-2",
    out: Annotated[Path, flags.path_option(help="Results folder.")] = Path("sample_results"),
    models: Annotated[
        str, typer.Option(help="Models to measure, in this order; the first is shown first.")
    ] = "qwen2.5-coder-1.5b,smollm2-135m",
    model: Annotated[
        list[Path] | None, flags.path_option(help="FILE of one of the models that need not be downloaded.")
    ] = None,
    chunks: flags.Chunks = None,
    threads: flags.Threads = None,
    force: Annotated[bool, typer.Option("--force", help="Measure again what is already measured.")] = False,
) -> None:
    """Quantize real models by the recipes main, bartowski, unsloth and guided, and measure them: sample_results/."""
    from evaluator.commands.sample import SampleTexts, run_sample

    names = [name.strip() for name in models.split(",")]
    with _interruptible():
        summaries = run_sample(
            names,
            SampleTexts(text, calibration),
            out,
            _console,
            files=model or (),
            chunks=chunks,
            threads=threads,
            force=force,
        )
    if any(summary["failures"] for summary in summaries):
        raise typer.Exit(_SOME_FAILED)


@app.command()
def quantize(
    baseline: Annotated[str, typer.Option(help="SRC of the model to quantize.")],
    recipe: Annotated[str, typer.Option(help="main, bartowski, unsloth, guided, guided-k, FILE, like:SRC.")],
    out: Annotated[Path, flags.path_option(help="Folder for the files.")],
    types: Annotated[
        str | None, typer.Option(help="Sizes, such as Q2_K,Q4_K_M; none for like:SRC or with a target.")
    ] = None,
    target_size: flags.TargetSize = None,
    target_bpw: flags.TargetBits = None,
    target_file: flags.TargetFile = None,
    imatrix: Annotated[Path | None, flags.path_option(help="Importance matrix, GGUF or .dat.")] = None,
    text: flags.Texts = None,
    device: flags.Device = "auto",
    memory: flags.Memory = None,
    rescale: flags.Rescale = False,
    threads: flags.Threads = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace existing files that were made in another way.")
    ] = False,
) -> None:
    """Make quantized variants of a model with ggml's quantizers, as llama-quantize does."""
    from evaluator.commands.guidance import Measuring
    from evaluator.commands.quantize import quantize_model
    from evaluator.quantize.target import Target

    quants = [name.strip() for name in (types or "").split(",") if name.strip()]
    if types is not None and not quants:
        raise RequestError(f"--types {types!r}: names no size; list some, such as Q2_K,Q4_K_M")
    with _interruptible():
        quantize_model(
            baseline,
            recipe,
            quants,
            out,
            _console,
            imatrix=imatrix,
            target=Target.requested(target_size, target_bpw, target_file),
            measuring=Measuring(tuple(text or ()), device, memory),
            rescale=rescale,
            threads=threads,
            replace=force,
        )


@app.command()
def imatrix(
    baseline: Annotated[str, typer.Option(help="SRC of the model.")],
    text: Annotated[list[str], typer.Option(help="FILE to measure on; do not evaluate on it later.")],
    out: Annotated[Path, flags.path_option(help="FILE.gguf to write.")],
    context: Annotated[int, typer.Option(help="Tokens per window.", min=8)] = 512,
    chunks: flags.Chunks = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: flags.Threads = None,
    memory: flags.Memory = None,
    pre: flags.Pre = None,
) -> None:
    """Measure an importance matrix, as llama-imatrix does."""
    from evaluator.commands.quantize import measure_imatrix

    with _interruptible("nothing was written: run the same command again"):
        measure_imatrix(
            baseline,
            text,
            out,
            _console,
            context=context,
            chunks=chunks,
            device=device,
            threads=threads,
            memory=memory,
            pre=pre,
        )


@app.command()
def inspect(
    source: Annotated[str, typer.Argument(help="SRC of a model, or a results folder.")],
    other: Annotated[str | None, typer.Argument(help="SRC of a model to compare the recipe with.")] = None,
    tensor_types: flags.TensorTypes = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the facts on stdout as JSON.")] = False,
) -> None:
    """Show what a model file or a results folder holds, or how the recipes of two files differ."""
    from evaluator.commands.inspect_recipe import compare_recipes, write_tensor_types
    from evaluator.commands.run import inspect_source

    with _interruptible("nothing was written"):
        report = partial(say, _console)
        facts, table = compare_recipes(source, other, report) if other else inspect_source(source, report)
        if tensor_types:
            write_tensor_types(source, tensor_types)
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        Console().print(table)
    if facts.get("failures"):
        raise typer.Exit(_SOME_FAILED)


@app.command()
def options() -> None:
    """Print the options of run and demo on stdout as JSON, for forms."""
    from evaluator.commands.options import described

    typer.echo(json.dumps(described({"run": run, "demo": demo}), indent=2))


def _interruptible(outcome: str = _RESUMABLE) -> contextlib.AbstractContextManager[None]:
    """Exit with status 130 on Ctrl-C, before typer exits with its own status."""
    return interruptible(outcome, _say_error)


def main() -> None:
    """Run the command line and turn errors into one line and an exit status."""
    try:
        status = app(sys.argv[1:] or ["--help"], prog_name="python -m evaluator", standalone_mode=False)
        sys.exit(status or 0)
    except _FlagError as error:
        _fail(error.format_message(), _WRONG_REQUEST)  # type: ignore[attr-defined]
    except (RequestError, SourceError) as error:
        # A faulty variant of a comparison is recorded, not raised: this is the command's only file or its baseline.
        _fail(str(error), _WRONG_REQUEST)
    except EvaluatorError as error:
        _fail(str(error), _SOME_FAILED)
    except ModuleNotFoundError as error:
        way_out = "pip install 'quantization-comparison[evaluator]'"
        _fail(f"{error.name} is not installed: {way_out}", _WRONG_REQUEST)
    except OSError as error:
        full = "free some space, or write to another disk" if error.errno in FULL else None
        reason = filter(None, (error.strerror or str(error), cache_advice(error) or full))
        _fail(f"{error.filename or 'disk'}: {'; '.join(reason)}", _SOME_FAILED)


def _fail(message: str, status: int) -> NoReturn:
    _say_error(message)
    sys.exit(status)


def _say_error(message: str) -> None:
    say(_console, f"error: {message}", "bold red")
