"""`python -m evaluator`: commands, flags and exit statuses, nothing else."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from evaluator.errors import EvaluatorError, RequestError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
_console = Console(stderr=True)

_SOME_FAILED, _WRONG_REQUEST, _INTERRUPTED = 1, 2, 130


@app.callback()
def _root() -> None:
    """Measure quantized versions of a language model against a baseline."""


@app.command()
def run(
    file: Annotated[Path | None, typer.Argument(help="A comparison in TOML instead of the flags.")] = None,
    baseline: Annotated[str | None, typer.Option(help="SRC of the reference model.")] = None,
    variant: Annotated[list[str] | None, typer.Option(help="METHOD=SRC; a glob gives several.")] = None,
    text: Annotated[list[str] | None, typer.Option(help="[DOMAIN=]FILE to evaluate on.")] = None,
    out: Annotated[Path | None, typer.Option(help="Results folder.")] = None,
    context: Annotated[int, typer.Option(help="Tokens per window; the second half is scored.")] = 512,
    chunks: Annotated[int | None, typer.Option(help="At most this many windows per text.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="Default: the cores this process may use.")] = None,
    no_layers: Annotated[bool, typer.Option("--no-layers", help="Skip layers.parquet.")] = False,
    no_speed: Annotated[bool, typer.Option("--no-speed", help="Skip speed.parquet.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Measure anew what is already there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary on stdout.")] = False,
) -> None:
    """Measure variants against a baseline on the same windows of the same texts."""
    from evaluator.commands import run_comparison
    from evaluator.config import VariantSource, comparison_from, read_comparison

    if file is not None:
        comparison = read_comparison(file)
    else:
        _require({"--baseline": baseline, "--variant": variant, "--text": text, "--out": out})
        comparison = comparison_from(
            {
                "baseline": baseline,
                "variants": [VariantSource.parse(item) for item in variant or []],
                "texts": text,
                "out": out,
                "context": context,
                "chunks": chunks,
                "device": device,
                "threads": threads,
                "layers": not no_layers,
            }
        )
    with _interruptible():
        summary = run_comparison(comparison, _console, force=force)
    if not no_speed:
        # Exact weights are float32 for every variant, so timing them would compare nothing.
        _console.print("speed is not measured: it belongs to packed weights, which are not exported yet")
    if as_json:
        typer.echo(json.dumps(summary, indent=2))
    if summary["failures"]:
        raise typer.Exit(_SOME_FAILED)


@app.command()
def export(
    source: Annotated[str, typer.Argument(help="SRC of the model.")],
    out: Annotated[Path, typer.Option(help="Folder for the ONNX model.")],
    weights: Annotated[str, typer.Option(help="exact")] = "exact",
) -> None:
    """Write a model as ONNX that plain onnxruntime runs: ids in, logits out."""
    from evaluator.commands import export_model

    export_model(source, out, weights, _console)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Results folder.")] = Path("demo_results"),
    threads: Annotated[int | None, typer.Option(help="Default: the cores this process may use.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Measure anew what is already there.")] = False,
) -> None:
    """Evaluate a real small model end to end, then say how to open the result."""
    from evaluator.demo import run_demo

    with _interruptible():
        summary = run_demo(out, threads, _console, force=force)
    typer.echo(f"Measured. Open it with: python -m dashboard {out}")
    if summary["failures"]:
        raise typer.Exit(_SOME_FAILED)


@app.command()
def inspect(
    source: Annotated[str, typer.Argument(help="SRC of a model, or a results folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable on stdout.")] = False,
) -> None:
    """Say what a model file or a results folder holds."""
    from evaluator.commands import inspect_source

    facts, table = inspect_source(source)
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        Console().print(table)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """End an interrupted command here, before the command-line library ends it with a status of its own."""
    try:
        yield
    except KeyboardInterrupt:
        _fail("interrupted: what was finished is kept, the same command goes on from there", _INTERRUPTED)


def _require(flags: dict[str, object]) -> None:
    missing = [name for name, value in flags.items() if not value]
    if missing:
        raise RequestError(f"missing {', '.join(missing)} (or name a comparison.toml)")


def main() -> None:
    """Run the command line and turn errors into one line and an exit status."""
    try:
        app(prog_name="python -m evaluator", standalone_mode=True)
    except RequestError as error:
        _fail(str(error), _WRONG_REQUEST)
    except EvaluatorError as error:
        _fail(str(error), _SOME_FAILED)
    except ModuleNotFoundError as error:
        _fail(
            f"{error.name} is not installed: pip install 'quantization-comparison[evaluator]'", _WRONG_REQUEST
        )
    except OSError as error:
        _fail(f"{error.filename or 'disk'}: {error.strerror or error}", _SOME_FAILED)


def _fail(message: str, status: int) -> NoReturn:
    one_line = " ".join(message.split())
    _console.print(f"error: {one_line}", style="bold red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(status)
