"""What the commands do, once their flags are read: the edge between the terminal and the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from evaluator.config import Comparison
from evaluator.errors import RequestError, SourceError
from evaluator.export.artifact import write_exact
from evaluator.export.graph import load_graph
from evaluator.frames import MEGABYTE
from evaluator.manifest import MANIFEST_NAME, read_manifest
from evaluator.pipeline import ComparisonRun
from evaluator.plan import make_plan
from evaluator.progress import RunProgress
from evaluator.sources.gguf_file import open_gguf
from evaluator.sources.naming import model_name, quant_label
from evaluator.sources.resolve import resolve_one, resolve_source
from evaluator.store import ResultsStore
from evaluator.windows import Text


def run_comparison(
    comparison: Comparison, console: Console, *, force: bool = False, built_in: Sequence[Text] = ()
) -> dict[str, Any]:
    """Plan and carry out a comparison; returns the summary that `--json` prints.

    Raises:
        RequestError: nothing could be measured because of the request.
        EvaluatorError: the graph or the baseline failed.
    """
    with RunProgress(console) as progress:
        progress.step("reading files and texts")
        plan = make_plan(comparison, built_in)
        if plan.device.notice:
            progress.say(plan.device.notice, "yellow")
        tokens = sum(len(window.targets) for window in plan.windows)
        progress.say(
            f"{plan.model}: {len(plan.variants)} variants, {tokens:,} tokens in {len(plan.windows)} windows, "
            f"{plan.device.provider} with {plan.device.threads} threads"
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


def export_model(source: str, out: Path, weights: str, console: Console) -> None:
    """Write one model as ONNX.

    Raises:
        RequestError: the source names no or several files, or the kind of weights is not known.
        EvaluatorError: the file cannot be exported.
    """
    if weights != "exact":
        raise RequestError(f"--weights {weights}: known kinds: exact")
    file = open_gguf(resolve_one(source))
    n_bytes = write_exact(file, load_graph(file), out)
    console.print(
        f"{out / 'model.onnx'}: {n_bytes / MEGABYTE:,.0f} MB in the folder", markup=False, highlight=False
    )


def inspect_source(source: str) -> tuple[dict[str, Any], Table]:
    """Facts about a model file or a results folder, as data and as a table.

    Raises:
        RequestError: nothing readable is there.
    """
    folder = Path(source)
    if (folder / MANIFEST_NAME).is_file():
        return _inspect_results(folder)
    table = Table("file", "model", "architecture", "quant", "bits per weight", "MB", "types")
    models = []
    for path in resolve_source(source):
        try:
            facts = _file_facts(path)
        except SourceError as error:
            raise RequestError(str(error)) from error
        models.append(facts)
        types = ", ".join(f"{name} ×{count}" for name, count in facts["tensor_types"].items())
        bits, size = f"{facts['bits_per_weight']:.3f}", f"{facts['size_bytes'] / MEGABYTE:,.1f}"
        table.add_row(path.name, facts["model"], facts["architecture"], facts["quant"], bits, size, types)
    return {"models": models}, table


def _file_facts(path: Path) -> dict[str, Any]:
    file = open_gguf(path)
    types: dict[str, int] = {}
    for tensor in file.tensors.values():
        types[tensor.ggml_type.name] = types.get(tensor.ggml_type.name, 0) + 1
    return {
        "path": str(path),
        "model": model_name(file),
        "architecture": file.architecture,
        "quant": quant_label(file),
        "n_params": file.n_params,
        "size_bytes": file.size_bytes,
        "bits_per_weight": file.bits_per_weight,
        "tensor_types": dict(sorted(types.items())),
    }


def _inspect_results(folder: Path) -> tuple[dict[str, Any], Table]:
    try:
        manifest = read_manifest(folder)
    except ValueError as error:
        raise RequestError(f"{folder}: its manifest cannot be read: {error}") from error
    rows = ResultsStore(folder).variants().sort("bits_per_weight").to_dicts()
    table = Table("method", "quant", "bits per weight", "MB", "PPL", "KLD", title=manifest.model)
    for row in rows:
        kld = "" if row["kld_mean"] is None else f"{row['kld_mean']:.5f}"
        ppl = "" if row["ppl"] is None else f"{row['ppl']:.4f}"
        bits, size = f"{row['bits_per_weight']:.3f}", f"{row['size_bytes'] / MEGABYTE:,.1f}"
        table.add_row(row["method"], row["quant"], bits, size, ppl, kld)
    return {"manifest": manifest.model_dump(mode="json"), "variants": rows}, table
