"""Show a file's recipe, the type of every matrix by role and layer, and compare the recipes of two files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from evaluator.models.model_file import ModelFile, TensorInfo
from evaluator.models.sources.hub_source import Report, silent
from evaluator.models.sources.open_model import open_model
from evaluator.models.sources.resolve import resolve_one
from evaluator.quantize.rescale import RESCALED_KEY
from evaluator.quantize.tensor_types import tensor_type_lines
from evaluator.quantize.type_plan import layer_of
from evaluator.quantize.variants import RECIPE_KEY
from evaluator.support.atomic_files import whole_file
from evaluator.support.errors import RequestError, SourceError
from evaluator.support.outputs import refuse_overwriting
from evaluator.support.terminal import Cell, table_of
from evaluator.support.units import MEGABYTE

_PROVENANCE = (
    RECIPE_KEY,
    RESCALED_KEY,
    "quantize.imatrix.file",
    "quantize.imatrix.dataset",
    "quantize.imatrix.entries_count",
    "quantize.imatrix.chunks_count",
)


def recipe_facts(file: ModelFile) -> dict[str, Any]:
    """Return a file's recipe as data: the provenance it states, and every matrix with its type."""
    return {
        "provenance": {key: _plain(file.metadata[key]) for key in _PROVENANCE if key in file.metadata},
        "matrices": [
            {
                "tensor": info.name,
                "layer": layer_of(info.name),
                "role": matrix_role(info.name),
                "type": info.ggml_type.name,
                "bits_per_weight": info.bits_per_weight,
                "n_bytes": info.n_bytes,
            }
            for info in _matrices(file)
        ],
    }


def recipe_table(file: ModelFile) -> Table:
    """Return a table with a row per role: its types with their layers, bits per weight and size."""
    provenance = recipe_facts(file)["provenance"]
    title = ", ".join(f"{key.removeprefix('quantize.')}: {value}" for key, value in provenance.items())
    rows: list[tuple[Cell, ...]] = []
    for role, infos in _by_role(file).items():
        n_bytes, n_weights = sum(item.n_bytes for item in infos), sum(item.n_elements for item in infos)
        layers: dict[str, list[int]] = {}
        for item in infos:
            layers.setdefault(item.ggml_type.name, []).append(layer_of(item.name))
        rows.append((role, _with_layers(layers), f"{8 * n_bytes / n_weights:.3f}", _megabytes(n_bytes)))
    return table_of(("role", "type: layers", "bits per weight", "MB"), rows, title)


def compare_recipes(first: str, second: str, report: Report = silent) -> tuple[dict[str, Any], Table]:
    """Return how the recipes of two files differ, as data and as a table.

    Args:
        first: SRC of a file.
        second: SRC of the other.
        report: called with a line about each download.

    Raises:
        RequestError: a source names no or several files, or one cannot be read.
    """
    files = [_open(source, report) for source in (first, second)]
    left, right = ({info.name: info for info in _matrices(file)} for file in files)
    changed = [
        {
            "tensor": name,
            "layer": layer_of(name),
            "role": matrix_role(name),
            "types": [_type_name(side.get(name)) for side in (left, right)],
            "n_bytes": [side[name].n_bytes if name in side else 0 for side in (left, right)],
        }
        for name in dict.fromkeys([*left, *right])
        if _type_name(left.get(name)) != _type_name(right.get(name))
    ]
    facts = {
        "files": [
            {"path": str(file.path), "bits_per_weight": file.bits_per_weight, "size_bytes": file.size_bytes}
            for file in files
        ],
        "n_matrices": len(left | right),
        "changed": changed,
    }
    return facts, _difference_table(files, changed, len(left | right))


def _difference_table(files: list[ModelFile], changed: list[dict[str, Any]], total: int) -> Table:
    bits = " → ".join(f"{file.bits_per_weight:.3f}" for file in files)
    size = " → ".join(_megabytes(file.size_bytes) for file in files)
    names = " → ".join(file.name for file in files)
    title = (names, f"{len(changed)} of {total} matrices differ; bits per weight {bits}; MB {size}")
    rows: list[tuple[Cell, ...]] = []
    for role in dict.fromkeys(str(item["role"]) for item in changed):
        of_role = [item for item in changed if item["role"] == role]
        layers: dict[str, list[int]] = {}
        for item in of_role:
            layers.setdefault(" → ".join(item["types"]), []).append(item["layer"])
        before, after = (sum(item["n_bytes"][side] for item in of_role) for side in (0, 1))
        rows.append((role, _with_layers(layers), f"{_megabytes(before)} → {_megabytes(after)}"))
    return table_of(("role", "types: layers", "MB"), rows, title)


def write_tensor_types(source: str, target: Path) -> int:
    """Write a file's recipe for llama-quantize's `--tensor-type-file` or for `--recipe`.

    Returns:
        The number of lines written.

    Raises:
        RequestError: the source names no or several files, cannot be read, or is `target`.
        SourceError: a tensor's name cannot be written in such a file.
        OSError: `target` cannot be written.
    """
    file = _open(source)
    refuse_overwriting([target], file.files)
    lines = tensor_type_lines(file)
    with whole_file(target) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)


def matrix_role(name: str) -> str:
    """Return a matrix's name within its block, such as attn_q, or outside the blocks, such as output."""
    bare = name.removesuffix(".weight")
    return bare.split(".", 2)[2] if layer_of(name) >= 0 else bare


def ranges(numbers: Iterable[int]) -> str:
    """Format numbers in order, runs shortened: `0–3, 5`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


def _open(source: str, report: Report = silent) -> ModelFile:
    try:
        return open_model(resolve_one(source, report))
    except SourceError as error:
        raise RequestError(str(error)) from error


def _matrices(file: ModelFile) -> list[TensorInfo]:
    infos = (info for info in file.tensors.values() if len(info.shape) > 1)
    return sorted(infos, key=lambda info: (layer_of(info.name), info.name))


def _by_role(file: ModelFile) -> Mapping[str, list[TensorInfo]]:
    roles: dict[str, list[TensorInfo]] = {}
    for info in _matrices(file):
        roles.setdefault(matrix_role(info.name), []).append(info)
    return roles


def _with_layers(layers: Mapping[str, list[int]]) -> list[str]:
    return [f"{kind}: {ranges(numbers)}" if numbers != [-1] else kind for kind, numbers in layers.items()]


def _plain(value: Any) -> Any:
    """Convert a metadata value to JSON types; GGUF allows arrays, and arrays of arrays, under any key."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def _type_name(info: TensorInfo | None) -> str:
    return "absent" if info is None else info.ggml_type.name


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / MEGABYTE:,.1f}"
