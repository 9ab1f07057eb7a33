"""Plan dynamic mixtures: spend the bytes of a stock mixture where the model is most sensitive.

The loss of a matrix at a type is its measured error (`sensitivity`) times a factor: the recipe's factor for its role,
or, in recipes based on attribution, the divergence that the matrix was measured to cause per unit of error. Losses
are assumed to add up over matrices, and `allocation` minimizes their sum greedily.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from gguf import GGMLQuantizationType as GGMLType

from evaluator.models.model_file import ModelFile
from evaluator.quantize import ggml
from evaluator.quantize.allocation import Option, allocate
from evaluator.quantize.recipe import Choice
from evaluator.quantize.recipe_file import Role
from evaluator.quantize.sensitivity import Errors, measure_errors
from evaluator.quantize.type_plan import TypePlan, fitting, layer_of, role_of
from evaluator.quantize.variants import planned_bytes
from evaluator.results.files import LAYERS, MANIFEST_NAME
from evaluator.results.reader import read_frame, read_manifest
from evaluator.support.errors import RequestError

Means = Mapping[str, npt.NDArray[np.float32]]
#: (layer, role) → nats of divergence per unit of squared relative weight error.
Attribution = Mapping[tuple[int, str], float]


@dataclass
class ErrorBook:
    """Measured errors, kept so that several sizes measure each matrix and type once."""

    file: ModelFile
    importance: Means
    pool: ThreadPoolExecutor
    advance: Callable[[str], None] = lambda _: None
    _errors: dict[str, dict[GGMLType, Errors]] = field(default_factory=dict)

    def errors(self, name: str, kinds: set[GGMLType]) -> Mapping[GGMLType, Errors]:
        """Return the relative squared errors of a matrix for each of `kinds`."""
        known = self._errors.setdefault(name, {})
        missing = sorted(kinds - known.keys())
        if missing:
            known |= measure_errors(self.file, name, missing, self.importance.get(name), self.pool)
            self.advance(name)
        return {kind: known[kind] for kind in kinds}


def share_out(choice: Choice, stock: TypePlan, book: ErrorBook, attribution: Attribution | None) -> TypePlan:
    """Return the plan of a dynamic mixture.

    Args:
        choice: a mixture with candidates.
        stock: the plan of the mixture it is like, whose bytes it may spend.
        book: errors of this model.
        attribution: needed by recipes based on it.

    Raises:
        RequestError: the attribution is missing, or does not cover a matrix.
        SourceError: a matrix cannot be read or quantized.
    """
    require_attribution(choice, stock, attribution)
    tensors, shared = book.file.tensors, _shared(stock)
    factors = choice.factors | (choice.hybrid_factors if is_hybrid(tensors) else {})
    options: dict[str, list[Option]] = {}
    for name in shared:
        info = tensors[name]
        by_attribution = attribution if choice.sensitivity == "attribution" else None
        kinds = {fitting(kind, info.shape[-1]) for kind in choice.candidates} | {stock[name]}
        usable = {kind for kind in kinds if name in book.importance or not ggml.needs_importance(kind)}
        rows = info.n_elements // info.shape[-1]
        options[name] = [
            Option(
                kind,
                rows * ggml.row_bytes(kind, info.shape[-1]),
                _loss(factors, name, errors, by_attribution),
            )
            for kind, errors in book.errors(name, usable).items()
        ]
    spent = sum(next(item.n_bytes for item in options[name] if item.kind == stock[name]) for name in shared)
    chosen = allocate(options, int(spent * choice.budget))
    return {name: chosen.get(name, kind) for name, kind in stock.items()}


def is_hybrid(names: Collection[str]) -> bool:
    """Return whether blocks of a model have state spaces, linear attention or short convolutions."""
    return any(".ssm_" in name or ".shortconv." in name for name in names)


def _loss(factors: Mapping[Role, float], name: str, errors: Errors, attribution: Attribution | None) -> float:
    if attribution is None:
        return factors.get(role_of(name, tied=False), 1.0) * errors.mixed
    return attribution[_place(name)] * errors.plain  # attribution is per unit of plain error


def _place(name: str) -> tuple[int, str]:
    return layer_of(name), name.split(".")[2]


def _shared(stock: TypePlan) -> list[str]:
    """Return the matrices whose bytes are reallocated."""
    return [name for name, kind in stock.items() if layer_of(name) >= 0 and ggml.block_size(kind) > 1]


def require_attribution(choice: Choice, stock: TypePlan, attribution: Attribution | None) -> None:
    """Check that a recipe based on attribution has it for all of its matrices.

    Raises:
        RequestError: the attribution is missing, or does not cover a matrix.
    """
    if choice.sensitivity != "attribution":
        return
    if attribution is None:
        raise RequestError(f"recipe {choice.recipe} needs a measured attribution: --results DIR")
    if absent := next((name for name in _shared(stock) if _place(name) not in attribution), None):
        raise RequestError(f"the attribution does not cover {absent}: it was measured on another model")


def most_bytes(choice: Choice, stock: TypePlan, file: ModelFile) -> int:
    """Return the most bytes that a mixture's tensors may take, without measuring dynamic ones.

    Args:
        choice: any mixture.
        stock: its plan; for a dynamic one, the plan of the mixture it is like.
        file: the model.
    """
    shared = planned_bytes(file, {name: stock[name] for name in _shared(stock)})
    return planned_bytes(file, stock) + int(shared * choice.budget) - shared


def read_attribution(folder: Path) -> Attribution:
    """Read from a results folder the divergence each matrix caused per unit of squared weight error.

    Raises:
        RequestError: the folder holds no attribution, is damaged, or has another schema version.
    """
    path = folder / LAYERS.place
    if (folder / MANIFEST_NAME).is_file():
        read_manifest(folder)
    if not path.is_file():
        raise RequestError(f"{folder}: holds no {LAYERS.name}; measure with: run --attribution")
    rows = (
        read_frame(folder, LAYERS)
        .filter(pl.col("attribution_kld").is_not_null(), pl.col("weight_error") > 0)
        .group_by("layer", "role")
        .agg(pl.col("attribution_kld").cast(pl.Float64).clip(0).sum() / pl.col("weight_error").pow(2).sum())
    )
    if rows.is_empty():
        raise RequestError(f"{path}: holds no attribution; measure with: run --attribution")
    return {(layer, role): value for layer, role, value in rows.iter_rows()}
