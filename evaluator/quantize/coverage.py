"""What an importance matrix says about the matrices of one model, and what it leaves out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from evaluator.models.architectures import EMBEDDING, HEAD
from evaluator.models.model_file import ModelFile, TensorInfo
from evaluator.quantize.ggml import block_size
from evaluator.quantize.imatrix import ImportanceMatrix, Values
from evaluator.quantize.variants import Job
from evaluator.support.errors import RequestError

#: Longer lists are cut, and say how many names they leave out.
_MOST_NAMES = 16


def fit_to_model(found: ImportanceMatrix, file: ModelFile) -> tuple[ImportanceMatrix, list[str]]:
    """Keep the entries that can be used for `file`, and say what is wrong with the others.

    An entry that is all zeros would quantize its matrix to zeros: it counts as absent. Of several experts, one
    whose importances are all zero gets ones, as llama.cpp gives experts that no token came by.

    Returns:
        The importance matrix, every entry float32 [matrices, columns] of its tensor; and one line per fault.

    Raises:
        RequestError: it is of another model (sizes differ, or most of its entries name no tensor of `file`), or no
            entry is left.
    """
    strangers = sorted(found.means.keys() - file.tensors.keys())
    if 2 * len(strangers) > len(found.means):
        raise RequestError(
            f"{found.path}: is of another model: {_count(strangers, found)} no tensor of {file.path} "
            f"({_names(strangers)})"
        )
    means: dict[str, Values] = {}
    zeros, resized, idle = list[str](), list[str](), list[str]()
    for name, values in found.means.items():
        if name in strangers:
            continue
        if not values.any():
            zeros.append(name)
        elif (shaped := _shaped(values, file.tensors[name])) is not None:
            dead = ~shaped.any(axis=1, keepdims=True)
            means[name] = np.where(dead, np.float32(1), shaped)
            idle += [name] if dead.any() else []
        elif name == EMBEDDING:
            resized.append(name)  # llama-quantize, too, goes on without: nothing is multiplied with its rows
        else:
            raise RequestError(_misfit(found, name, values, file))
    if not means:
        raise RequestError(
            f"{found.path}: none of its {len(found.means)} entries can be used: they hold only zeros"
        )
    notes = [
        (strangers, f"{_count(strangers, found)} no tensor of {file.name}"),
        (zeros, "holds only zeros, and counts as absent"),
        (resized, "is not of the tensor's size, and is not used"),
        (idle, "holds only zeros for some experts, whose columns count alike"),
    ]
    lines = [f"{found.path}: {reason}: {_names(names)}" for names, reason in notes if names]
    return replace(found, means=means), lines


def uncovered(jobs: Iterable[Job], file: ModelFile) -> list[str]:
    """The matrices that are quantized although the importance matrix says nothing about them.

    The embedding and the head are left out: nothing is multiplied with the rows of the one, and llama-imatrix
    leaves the other out unless it is told not to.
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
            and name not in (EMBEDDING, HEAD)
        }
    )


def uncovered_line(names: Sequence[str], found: ImportanceMatrix) -> str:
    """One line about the matrices that an importance matrix leaves out."""
    many = f"{len(names)} matrices, which are" if len(names) > 1 else "1 matrix, which is"
    return f"{found.path}: did not find importances for {many} quantized without: {_names(names)}"


def _shaped(values: Values, info: TensorInfo) -> Values | None:
    """An entry as [matrices, columns]; None if it is of another size. Older files hold all experts in one row."""
    matrices, columns = math.prod(info.shape[:-2]), info.shape[-1]
    return values.reshape(matrices, columns) if values.size == matrices * columns else None


def _misfit(found: ImportanceMatrix, name: str, values: Values, file: ModelFile) -> str:
    matrices, columns = math.prod(file.tensors[name].shape[:-2]), file.tensors[name].shape[-1]
    wanted = f"{matrices} × {columns}" if matrices > 1 else f"{columns}"
    return (
        f"{found.path}: is of another model: it has {values.size} values for {name}, "
        f"which takes {wanted} in {file.path}"
    )


def _count(strangers: Sequence[str], found: ImportanceMatrix) -> str:
    return f"{len(strangers)} of its {len(found.means)} entries name"


def _names(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
