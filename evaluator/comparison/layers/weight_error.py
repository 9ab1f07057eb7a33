"""Measure how far each matrix of a variant is from the baseline's."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from evaluator.metrics.estimation import LARGEST_TOLD_APART
from evaluator.models.architectures import EMBEDDING, HEAD, head_tensor
from evaluator.models.model_file import ModelFile
from evaluator.results.schema import ROLES, Layers, with_schema

Values = npt.NDArray[np.float32]

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


def relative_error(blocks: Iterable[tuple[Values, Values]]) -> float | None:
    """Compute ‖variant − baseline‖ / ‖baseline‖ (Frobenius) of a matrix.

    None if the baseline is all zeros, a value is not finite, or the error is too large to be meaningful in float32.

    Args:
        blocks: parts of the variant's and the baseline's matrix.
    """
    error = size = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for values, expected in blocks:
            error += _squared(values - expected)
            size += _squared(expected)
    ratio = math.sqrt(error / size) if size and math.isfinite(error) and math.isfinite(size) else math.inf
    return ratio if ratio <= LARGEST_TOLD_APART else None


def _blocks(
    variant: ModelFile, name: str, baseline: ModelFile, reference: str
) -> Iterator[tuple[Values, Values]]:
    """Yield a tensor of a variant and one of the baseline, some rows at a time.

    Raises:
        SourceError: a tensor cannot be read.
    """
    info = variant.tensor(name)
    columns = info.shape[-1]
    rows, step = info.n_elements // columns, max(1, _WEIGHTS_AT_ONCE // columns)
    read, read_baseline = variant.row_reader(name), baseline.row_reader(reference)
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        yield read(start, stop), read_baseline(start, stop)
    variant.release_pages(name)
    baseline.release_pages(reference)


def _squared(values: Values) -> float:
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
                "weight_error": relative_error(_blocks(variant, name, baseline, reference)),
            }
        )
    columns = ["variant_id", "layer", "role", "quant_type", "bits_per_weight", "weight_error"]
    types = Layers.create_empty().schema
    frame = pl.DataFrame(rows, schema={name: types[name] for name in columns})
    return with_schema(Layers, frame)
