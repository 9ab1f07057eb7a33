"""Carry out `run`, `export` and `inspect`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType

from evaluator.commands.inspect_recipe import recipe_facts, recipe_table
from evaluator.commands.results_table import inspect_results
from evaluator.comparison.cluster.connection import check_installed
from evaluator.comparison.run import ComparisonRun
from evaluator.export.exact.artifact import write_exact
from evaluator.export.exact.graph import load_graph
from evaluator.export.folder import ARTIFACT_FILES, MODEL_FILE, RECEIPT_FILE
from evaluator.export.packing.artifact import export_packed
from evaluator.models.architectures.rotary import beyond_training
from evaluator.models.model_file import ModelFile
from evaluator.models.naming import model_name, quant_label
from evaluator.models.sources.hub_source import Report, silent
from evaluator.models.sources.open_model import open_model
from evaluator.models.sources.resolve import resolve_one, resolve_source
from evaluator.models.tokenizers.scheme import needs_scheme, scheme_name, with_scheme_of
from evaluator.planning.comparable import check_comparable, comparable_traits
from evaluator.planning.config import Comparison
from evaluator.planning.plan import Plan, make_plan
from evaluator.results.files import MANIFEST_NAME, is_written
from evaluator.results.manifest import Failure
from evaluator.results.store import ResultsStore
from evaluator.support.cache import cache_advice
from evaluator.support.errors import EvaluatorError, RequestError, SourceError, reason_of
from evaluator.support.outputs import prepare_output_folder, refuse_overwriting
from evaluator.support.paths import accessing, typed_path
from evaluator.support.progress_lines import Display, run_progress
from evaluator.support.terminal import say, table_of
from evaluator.support.threads import use_threads
from evaluator.support.units import MEGABYTE, counted
from evaluator.texts.sources import text_file
from evaluator.texts.windows import n_scored

_WEIGHTS = ("exact", "packed")


def run_comparison(
    comparison: Comparison, console: Console, *, force: bool = False, display: Display = "text"
) -> dict[str, Any]:
    """Plan and carry out a comparison, and return the summary that `--json` prints.

    Raises:
        RequestError: the request is wrong, and nothing was measured.
        EvaluatorError: the graph or the baseline failed, or the disk is full.
    """
    if comparison.cluster:
        check_installed()
    comparison.check_engines()
    try:
        return _run(comparison, console, force=force, display=display)
    except OSError as error:
        place = error.filename or comparison.out
        resume = "what was finished is kept: run the same command again to resume"
        raise EvaluatorError(
            f"{place}: {error.strerror or error}; {cache_advice(error) or resume}"
        ) from error


def _run(comparison: Comparison, console: Console, *, force: bool, display: Display) -> dict[str, Any]:
    use_threads(comparison.threads)
    with ResultsStore(comparison.out) as store, run_progress(console, display) as progress:
        progress.begin(comparison.out)
        progress.stage("reading files and texts")
        plan = make_plan(comparison, progress.step, {} if force else store.measured())
        _spare_inputs(comparison, plan)
        for line in plan.skipped:
            progress.say(line)
        for notice in (plan.device.notice, *plan.notices):
            if notice:
                progress.say(notice, "yellow")
        if beyond := beyond_training(plan.baseline.file, comparison.context):
            progress.say(beyond, "yellow")
        tokens = n_scored(plan.windows)
        several = f" on {len(plan.devices)} GPUs" if len(plan.devices) > 1 else ""
        progress.say(
            f"{plan.model}: {counted(len(plan.variants), 'variant')}, {tokens:,} tokens in "
            f"{counted(len(plan.windows), 'window')}, {plan.device.provider}{several} with "
            f"{counted(plan.device.threads, 'thread')}"
        )
        outcome = ComparisonRun(plan, comparison, store, progress).run(force=force)
    rows, manifest = store.variants().filter(model=plan.model), store.manifest
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
        "memory": manifest.memory.model_dump() if manifest.memory else None,
        "stage_seconds": {
            item: seconds for item, seconds in manifest.stage_seconds.items() if item in outcome.measured
        },
        "variants": rows.select(columns).to_dicts(),
    }


def _spare_inputs(comparison: Comparison, plan: Plan) -> None:
    """Check that no input lies where results are written or, with --force, deleted.

    Raises:
        RequestError: an input does.
    """
    texts = [path for path in map(text_file, comparison.texts) if path]
    models = [path for item in (plan.baseline, *plan.variants) for path in item.file.files]
    for path in (*texts, *models):
        if is_written(comparison.out, path):
            raise RequestError(
                f"{path}: is an input, and lies where results are written; move it or choose another --out"
            )


def export_model(source: str, out: Path, weights: str, baseline: str | None, console: Console) -> None:
    """Write one model as ONNX.

    Raises:
        RequestError: a source names no or several files, the kind of weights is unknown, `out` is not writable or
            holds an input, or a baseline is given for exact weights, which have no receipt.
        EvaluatorError: the file cannot be exported, or is not comparable with the baseline.
    """
    if weights not in _WEIGHTS:
        raise RequestError(f"--weights {weights}: known kinds: {', '.join(_WEIGHTS)}")
    if baseline and weights != "packed":
        raise RequestError(
            "--baseline is used only in the receipt of packed weights: leave it out, or add --weights packed"
        )
    report = partial(say, console)
    file = open_model(resolve_one(source, report))
    reference = _comparable_baseline(file, baseline, report) if baseline else None
    inputs = file.files + (reference.files if reference else ())
    refuse_overwriting([out / name for name in ARTIFACT_FILES], inputs)
    prepare_output_folder(out)
    if weights == "packed":
        receipt = export_packed(file, load_graph(file), out, reference)
        console.print(receipt.table())
        say(console, f"{out}: runs in onnxruntime; {RECEIPT_FILE} lists every tensor")
        return
    n_bytes = write_exact(file, load_graph(file), out)
    say(console, f"{out / MODEL_FILE}: written, {n_bytes / MEGABYTE:,.0f} MB with its weights")


def _comparable_baseline(file: ModelFile, baseline: str, report: Report) -> ModelFile:
    """Open the baseline and check that `file` is comparable with it.

    Raises:
        RequestError: the baseline cannot be read.
        SourceError: `file` has another shape, family or vocabulary.
    """
    try:
        reference = with_scheme_of(open_model(resolve_one(baseline, report)), file)
        traits = comparable_traits(reference)
    except SourceError as error:
        raise RequestError(f"baseline {error}") from error
    check_comparable(with_scheme_of(file, reference), traits)
    return reference


def inspect_source(source: str, report: Report = silent) -> tuple[dict[str, Any], RenderableType]:
    """Return facts about model files or a results folder, as data and as a table.

    Of several files, those that cannot be read are among the `failures`.

    Args:
        source: SRC of models, or a results folder.
        report: called with a line about each download.

    Raises:
        RequestError: `source` names neither, or nothing of it can be read.
    """
    folder = typed_path(source)
    with accessing(folder):
        is_results = (folder / MANIFEST_NAME).is_file()
    if is_results:
        return inspect_results(folder)
    models, recipes, rows, skipped = [], [], [], list[str]()
    failures: list[Failure] = []
    for path in resolve_source(source, report, skipped.append):
        try:
            file = open_model(path)
            facts, recipe = _file_facts(file), recipe_table(file)
        except SourceError as error:
            failures.append(Failure(source=str(path), reason=reason_of(error, path)))
            continue
        models.append(facts)
        recipes.append(recipe)
        types = ", ".join(f"{name} ×{count}" for name, count in facts["tensor_types"].items())
        bits, size = f"{facts['bits_per_weight']:.3f}", f"{facts['size_bytes'] / MEGABYTE:,.1f}"
        pre = facts["pre"] or ("missing" if needs_scheme(file) else "–")
        rows.append(
            (file.name, facts["model"], facts["architecture"], facts["quant"], pre, bits, size, types)
        )
    unread = [f"{failure.source}: {failure.reason}" for failure in failures]
    if not models:
        raise RequestError(unread[0])
    heads = ("file", "model", "architecture", "quant", "pre", "bits per weight", "MB", "types")
    table = table_of(heads, rows, caption=[*skipped, *(f"skipped {line}" for line in unread)])
    data = {"models": models, "skipped": skipped, "failures": [failure.model_dump() for failure in failures]}
    return data, Group(table, *recipes) if len(recipes) == 1 else table


def _file_facts(file: ModelFile) -> dict[str, Any]:
    types: dict[str, int] = {}
    for tensor in file.tensors.values():
        types[tensor.ggml_type.name] = types.get(tensor.ggml_type.name, 0) + 1
    return {
        "path": str(file.path),
        "model": model_name(file),
        "architecture": file.architecture,
        "quant": quant_label(file),
        "tokenizer": file.single("tokenizer.ggml.model"),
        "pre": scheme_name(file),
        "n_params": file.n_params,
        "size_bytes": file.size_bytes,
        "bits_per_weight": file.bits_per_weight,
        "tensor_types": dict(sorted(types.items())),
        "recipe": recipe_facts(file),
    }
