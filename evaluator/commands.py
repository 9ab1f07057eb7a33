"""What the commands do, once their flags are read: the edge between the terminal and the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType

from evaluator.config import Comparison
from evaluator.errors import EvaluatorError, RequestError, SourceError
from evaluator.export.artifact import write_exact
from evaluator.export.folder import MODEL_FILE
from evaluator.export.graph import load_graph
from evaluator.export.packing.artifact import export_packed
from evaluator.export.packing.receipt import RECEIPT_FILE
from evaluator.frames import MEGABYTE
from evaluator.manifest import MANIFEST_NAME
from evaluator.pipeline import ComparisonRun
from evaluator.plan import make_plan
from evaluator.progress import RunProgress
from evaluator.quantize.inspection import recipe_facts, recipe_table
from evaluator.results_table import inspect_results
from evaluator.room import make_room
from evaluator.sources.model_file import ModelFile
from evaluator.sources.naming import model_name, quant_label
from evaluator.sources.opening import open_model
from evaluator.sources.resolve import resolve_one, resolve_source
from evaluator.store import ResultsStore
from evaluator.terminal import say, table_of

_WEIGHTS = ("exact", "packed")


def run_comparison(comparison: Comparison, console: Console, *, force: bool = False) -> dict[str, Any]:
    """Plan and carry out a comparison; returns the summary that `--json` prints.

    Raises:
        RequestError: nothing could be measured because of the request.
        EvaluatorError: the graph or the baseline failed, or the disk is full.
    """
    try:
        return _run(comparison, console, force=force)
    except OSError as error:
        place = error.filename or comparison.out
        raise EvaluatorError(
            f"{place}: {error.strerror or error}; what was finished is kept, the same command goes on from there"
        ) from error


def _run(comparison: Comparison, console: Console, *, force: bool) -> dict[str, Any]:
    store = ResultsStore(comparison.out)
    store.check_usable()
    with RunProgress(console) as progress:
        progress.step("reading files and texts")
        plan = make_plan(comparison, progress.step, {} if force else store.measured())
        if plan.device.notice:
            progress.say(plan.device.notice, "yellow")
        if beyond := _beyond_training(plan.baseline.file, comparison.context):
            progress.say(beyond, "yellow")
        tokens = sum(len(window.targets) for window in plan.windows)
        several = f" on {len(plan.devices)} GPUs" if len(plan.devices) > 1 else ""
        progress.say(
            f"{plan.model}: {len(plan.variants)} variants, {tokens:,} tokens in {len(plan.windows)} windows, "
            f"{plan.device.provider}{several} with {plan.device.threads} threads"
        )
        run = ComparisonRun(plan, comparison, progress)
        outcome = run.run(force=force)
    rows = run.store.variants()
    columns = [
        "variant_id",
        "method",
        "quant",
        "bits_per_weight",
        "size_bytes",
        "ppl",
        "kld_mean",
        "same_top",
    ]
    return {
        "out": str(comparison.out),
        "model": plan.model,
        "device": plan.device.name,
        "provider": plan.device.provider,
        "n_tokens": tokens,
        "measured": outcome.measured,
        "reused": outcome.reused,
        "nonfinite": outcome.nonfinite,
        "failures": [failure.model_dump() for failure in outcome.failures],
        "variants": rows.select(columns).to_dicts(),
    }


def _beyond_training(file: ModelFile, context: int) -> str | None:
    """What to say of windows that are longer than the model was trained for."""
    trained = file.metadata.get(f"{file.architecture}.context_length")
    if not isinstance(trained, int) or not 0 < trained < context:
        return None
    return f"--context {context} is beyond the {trained:,} tokens that {file.name} was made for"


def export_model(source: str, out: Path, weights: str, baseline: str | None, console: Console) -> None:
    """Write one model as ONNX.

    Raises:
        RequestError: a source names no or several files, the kind of weights is unknown, or `out` not writable.
        EvaluatorError: the file cannot be exported.
    """
    if weights not in _WEIGHTS:
        raise RequestError(f"--weights {weights}: known kinds: {', '.join(_WEIGHTS)}")
    file = open_model(resolve_one(source))
    make_room(out)
    if weights == "packed":
        reference = open_model(resolve_one(baseline)) if baseline else None
        receipt = export_packed(file, load_graph(file), out, reference)
        console.print(receipt.table())
        say(console, f"{out}: runs in onnxruntime; every tensor is in {RECEIPT_FILE}")
        return
    n_bytes = write_exact(file, load_graph(file), out)
    say(console, f"{out / MODEL_FILE}: {n_bytes / MEGABYTE:,.0f} MB in the folder")


def inspect_source(source: str) -> tuple[dict[str, Any], RenderableType]:
    """Facts about a model file or a results folder, as data and as a table.

    Raises:
        RequestError: nothing readable is there.
    """
    folder = Path(source)
    if (folder / MANIFEST_NAME).is_file():
        return inspect_results(folder)
    models, recipes, rows = [], [], []
    for path in resolve_source(source):
        try:
            file = open_model(path)
            facts = _file_facts(file)
        except SourceError as error:
            raise RequestError(str(error)) from error
        models.append(facts)
        recipes.append(recipe_table(file))
        types = ", ".join(f"{name} ×{count}" for name, count in facts["tensor_types"].items())
        bits, size = f"{facts['bits_per_weight']:.3f}", f"{facts['size_bytes'] / MEGABYTE:,.1f}"
        rows.append((file.name, facts["model"], facts["architecture"], facts["quant"], bits, size, types))
    table = table_of(("file", "model", "architecture", "quant", "bits per weight", "MB", "types"), rows)
    return {"models": models}, Group(table, *recipes) if len(recipes) == 1 else table


def _file_facts(file: ModelFile) -> dict[str, Any]:
    types: dict[str, int] = {}
    for tensor in file.tensors.values():
        types[tensor.ggml_type.name] = types.get(tensor.ggml_type.name, 0) + 1
    return {
        "path": str(file.path),
        "model": model_name(file),
        "architecture": file.architecture,
        "quant": quant_label(file),
        "n_params": file.n_params,
        "size_bytes": file.size_bytes,
        "bits_per_weight": file.bits_per_weight,
        "tensor_types": dict(sorted(types.items())),
        "recipe": recipe_facts(file),
    }
