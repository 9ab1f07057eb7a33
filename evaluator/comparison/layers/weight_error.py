"""Measure how far each matrix of a variant is from the baseline's."""

from __future__ import annotations

import math
import re

import numpy as np
import numpy.typing as npt
import polars as pl

from evaluator.metrics.estimation import LARGEST_TOLD_APART
from evaluator.models.architectures import EMBEDDING, HEAD, head_tensor
from evaluator.models.model_file import ModelFile
from evaluator.results.schema import ROLES, Layers, with_schema

_BLOCK_WEIGHT = re.compile(r"blk\.(\d+)\.(\w+)\.weight")
_OUTSIDE_LAYERS = -1
#: Weights that are in float32 at a time: 64 MB.
_WEIGHTS_AT_ONCE = 1 << 24


def place_of(tensor: str) -> tuple[int, str] | None:
    """Return a weight matrix's (layer, role), −1 for embedding and head; None for any other tensor."""
    if tensor == EMBEDDING:
        return _OUTSIDE_LAYERS, "token_embd"
    if tensor == HEAD:
        return _OUTSIDE_LAYERS, "output"
    match = _BLOCK_WEIGHT.fullmatch(tensor)
    if match and match[2] in ROLES:
        return int(match[1]), match[2]
    return None


def relative_error(variant: ModelFile, name: str, baseline: ModelFile, reference: str) -> float | None:
    """Compute ‖variant − baseline‖ / ‖baseline‖ (Frobenius) of one matrix, a block of rows at a time.

    None if the baseline is all zeros, a value is not finite, or the error is too large to be meaningful in float32.

    Args:
        variant: a model.
        name: its tensor.
        baseline: the model to compare with.
        reference: its tensor, of the same shape.

    Raises:
        SourceError: a tensor cannot be read.
    """
    info = variant.tensor(name)
    columns = info.shape[-1]
    rows, step = info.n_elements // columns, max(1, _WEIGHTS_AT_ONCE // columns)
    read, read_baseline = variant.row_reader(name), baseline.row_reader(reference)
    error = size = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, rows, step):
            values, expected = (item(start, min(start + step, rows)) for item in (read, read_baseline))
            error += _squared(values - expected)
            size += _squared(expected)
        ratio = math.sqrt(error / size) if size and math.isfinite(error / size) else math.inf
    return ratio if ratio <= LARGEST_TOLD_APART else None


def _squared(values: npt.NDArray[np.float32]) -> float:
    """Compute the sum of squares, also of values whose squares overflow float32."""
    flat = values.reshape(-1)
    total = float(np.dot(flat, flat))
    return total if math.isfinite(total) else float(np.square(flat, dtype=np.float64).sum())


def weight_errors(variant_id: str, variant: ModelFile, baseline: ModelFile) -> pl.DataFrame:
    """Return a variant's rows of `layers.parquet`: type, bits per weight and relative weight error per matrix.

    Raises:
        SourceError: a tensor that the variant has is missing from the baseline.
    """
    rows = []
    for name, info in variant.tensors.items():
        place = place_of(name)
        if place is None:
            continue
        reference = head_tensor(baseline) if name == HEAD else name
        rows.append(
            {
                "variant_id": variant_id,
                "layer": place[0],
                "role": place[1],
                "quant_type": info.ggml_type.name,
                "bits_per_weight": info.bits_per_weight,
                "weight_error": relative_error(variant, name, baseline, reference),
            }
        )
    columns = ["variant_id", "layer", "role", "quant_type", "bits_per_weight", "weight_error"]
    types = Layers.create_empty().schema
    frame = pl.DataFrame(rows, schema={name: types[name] for name in columns})
    return with_schema(Layers, frame)
