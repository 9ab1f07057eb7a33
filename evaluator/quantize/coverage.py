"""Match the entries of an importance matrix with the matrices of a model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluator.models.architectures import HEAD
from evaluator.models.model_file import ModelFile, TensorInfo
from evaluator.quantize.ggml import block_size
from evaluator.quantize.imatrix import ImportanceMatrix, Values
from evaluator.quantize.type_plan import EMBEDDINGS
from evaluator.quantize.variants import Job
from evaluator.support.errors import RequestError

#: A mean of squares over so many tokens is off by about a fifth.
_FEW_TOKENS = 50
#: Longer lists are cut; the number of names left out is stated.
_MOST_NAMES = 16


def fit_to_model(matrix: ImportanceMatrix, file: ModelFile) -> tuple[ImportanceMatrix, list[str]]:
    """Keep the entries that can be used for `file`, and report what is wrong with the others.

    An entry of zeros would quantize its matrix to zeros, so it counts as absent. An expert whose importances are all
    zero gets ones, as in llama.cpp for experts that no token was routed to.

    Returns:
        The importance matrix, every entry float32 [matrices, columns] of its tensor; and one line per fault.

    Raises:
        RequestError: it was measured on another model (sizes differ, or most of its entries name no tensor of
            `file`), or no entry is usable.
    """
    unknown = sorted(matrix.means.keys() - file.tensors.keys())
    if 2 * len(unknown) > len(matrix.means):
        raise RequestError(
            f"{matrix.path}: was measured on another model: {_count(unknown, matrix)} no tensor of {file.path} "
            f"({_names(unknown)})"
        )
    means: dict[str, Values] = {}
    zeros, resized, idle = list[str](), list[str](), list[str]()
    for name, values in matrix.means.items():
        if name in unknown:
            continue
        if not values.any():
            zeros.append(name)
        elif (shaped := _shaped(values, file.tensors[name])) is not None:
            unused = ~shaped.any(axis=1, keepdims=True)
            means[name] = np.where(unused, np.float32(1), shaped)
            idle += [name] if unused.any() else []
        elif name in EMBEDDINGS:
            resized.append(name)  # llama-quantize ignores it too: the embedding's rows are not multiplied
        else:
            raise RequestError(_misfit(matrix, name, values, file))
    if not means:
        raise RequestError(
            f"{matrix.path}: none of its {len(matrix.means)} entries can be used: they hold only zeros"
        )
    notes = [
        (unknown, f"{_count(unknown, matrix)} no tensor of {file.name}"),
        (zeros, "holds only zeros and is ignored"),
        (resized, "does not have the tensor's size and is ignored"),
        (idle, "holds only zeros for some experts, whose columns are weighted equally"),
    ]
    lines = [f"{matrix.path}: {reason}: {_names(names)}" for names, reason in notes if names]
    seen = {name: counts for name, counts in matrix.counts.items() if name in means}
    return replace(matrix, means=means), [*lines, *rare_experts(matrix.path, seen)]


def rare_experts(path: Path, counts: Mapping[str, npt.NDArray[np.number[Any]]]) -> list[str]:
    """Return a line about experts without tokens and one about those with few; both are treated as by llama.cpp.

    Args:
        path: the importance matrix.
        counts: tensor → tokens of each expert, [experts].
    """
    without, few = list[str](), list[str]()
    for name, found in counts.items():
        idle, rare = int((found == 0).sum()), int(((found > 0) & (found < _FEW_TOKENS)).sum())
        without += [f"{name} ({idle} of {len(found)})"] if idle else []
        few += [f"{name} ({rare} of {len(found)})"] if rare else []
    notes = [
        (without, "has no token for some experts, whose columns are weighted equally"),
        (
            few,
            f"has fewer than {_FEW_TOKENS} tokens for some experts, whose importances are used as they are",
        ),
    ]
    return [f"{path}: {reason}: {_names(names)}" for names, reason in notes if names]


def uncovered(jobs: Iterable[Job], file: ModelFile) -> list[str]:
    """Return the matrices that are quantized but have no entry in the importance matrix.

    The embedding and the head are not listed: the embedding's rows are not multiplied, and llama-imatrix excludes the
    head by default.
    """
    return sorted(
        {
            name
            for job in jobs
            if job.importance is not None
            for name, kind in job.plan.items()
            if block_size(kind) > 1
            and kind != file.tensors[name].ggml_type
            and name not in job.importance.means
            and name not in (*EMBEDDINGS, HEAD)
        }
    )


def uncovered_line(names: Sequence[str], matrix: ImportanceMatrix) -> str:
    """Return a line about the matrices that an importance matrix does not cover."""
    many = f"{len(names)} matrices, which are" if len(names) > 1 else "1 matrix, which is"
    return f"{matrix.path}: has no importances for {many} quantized without: {_names(names)}"


def _shaped(values: Values, info: TensorInfo) -> Values | None:
    """Return an entry as [matrices, columns], None if its size differs; older files hold all experts in one row."""
    matrices, columns = math.prod(info.shape[:-2]), info.shape[-1]
    return values.reshape(matrices, columns) if values.size == matrices * columns else None


def _misfit(matrix: ImportanceMatrix, name: str, values: Values, file: ModelFile) -> str:
    matrices, columns = math.prod(file.tensors[name].shape[:-2]), file.tensors[name].shape[-1]
    wanted = f"{matrices} × {columns}" if matrices > 1 else f"{columns}"
    return (
        f"{matrix.path}: was measured on another model: it has {values.size} values for {name}, "
        f"which needs {wanted} in {file.path}"
    )


def _count(unknown: Sequence[str], matrix: ImportanceMatrix) -> str:
    return f"{len(unknown)} of its {len(matrix.means)} entries name"


def _names(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
