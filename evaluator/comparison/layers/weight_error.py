"""Measure how far each matrix of a variant is from the baseline's."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from evaluator.export.composing.fit import left_out
from evaluator.metrics.estimation import LARGEST_TOLD_APART
from evaluator.models.architectures import EMBEDDING, HEAD, described, head_tensor
from evaluator.models.model_file import ModelFile
from evaluator.results.schema import ROLES, Layers, with_schema

Values = npt.NDArray[np.float32]

_BLOCK_WEIGHT = re.compile(r"blk\.(\d+)\.([\w.]+)\.weight")
_OUTSIDE_LAYERS = -1
#: End of the names of tensors that stack the matrices of all experts.
EXPERTS = "_exps.weight"
#: Matrices outside of layers besides embedding and head.
_OUTSIDE = ("per_layer_token_embd", "per_layer_model_proj")
#: Weights that are in float32 at a time: 64 MB.
_WEIGHTS_AT_ONCE = 1 << 24


def place_of(tensor: str) -> tuple[int, str] | None:
    """Return a weight matrix's (layer, role), −1 for embedding and head; None for any other tensor."""
    if tensor == EMBEDDING:
        return _OUTSIDE_LAYERS, "token_embd"
    if tensor == HEAD:
        return _OUTSIDE_LAYERS, "output"
    if tensor.removesuffix(".weight") in _OUTSIDE:
        return _OUTSIDE_LAYERS, tensor.removesuffix(".weight")
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
    return _root_of_quotient(_sums(blocks))


def _sums(blocks: Iterable[tuple[Values, Values]]) -> tuple[float, float]:
    """Return the squared error and the squared size of the baseline."""
    error = size = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for values, expected in blocks:
            error += _squared(values - expected)
            size += _squared(expected)
    return error, size


def _root_of_quotient(sums: tuple[float, float]) -> float | None:
    error, size = sums
    ratio = math.sqrt(error / size) if size and math.isfinite(error) and math.isfinite(size) else math.inf
    return ratio if ratio <= LARGEST_TOLD_APART else None


def _errors(
    variant: ModelFile, name: str, baseline: ModelFile, reference: str
) -> tuple[float | None, list[float | None] | None]:
    """Return the relative error of a tensor, and of each expert if it stacks the matrices of several.

    Raises:
        SourceError: a tensor cannot be read.
    """
    info = variant.tensor(name)
    stacked = len(info.shape) > 2 and name.endswith(EXPERTS)
    count = info.shape[0] if stacked else 1
    rows = info.n_rows // count
    read, read_baseline = variant.row_reader(name), baseline.row_reader(reference)

    def blocks(first: int) -> Iterator[tuple[Values, Values]]:
        step = max(1, _WEIGHTS_AT_ONCE // info.shape[-1])
        for start in range(first, first + rows, step):
            stop = min(start + step, first + rows)
            yield read(start, stop), read_baseline(start, stop)

    sums = [_sums(blocks(index * rows)) for index in range(count)]
    variant.release_pages(name)
    baseline.release_pages(reference)
    whole = _root_of_quotient((sum(error for error, _ in sums), sum(size for _, size in sums)))
    return whole, [_root_of_quotient(item) for item in sums] if stacked else None


def _squared(values: Values) -> float:
    """Compute the sum of squares, also of values whose squares overflow float32."""
    flat = values.reshape(-1)
    total = float(np.dot(flat, flat))
    return total if math.isfinite(total) else float(np.square(flat, dtype=np.float64).sum())


def weight_errors(variant_id: str, variant: ModelFile, baseline: ModelFile) -> pl.DataFrame:
    """Return a variant's rows of `layers.parquet`: type, bits per weight and relative weight error per matrix.

    Tensors of parts that are not computed have none; the baseline may lack them.
    """
    rows = []
    decoder = described(variant)
    unused = left_out(variant, decoder) if decoder else {}
    for name, info in variant.tensors.items():
        place = place_of(name)
        reference = head_tensor(baseline) if name == HEAD else name
        if place is None or name in unused or reference not in baseline.tensors:
            continue
        error, of_experts = _errors(variant, name, baseline, reference)
        rows.append(
            {
                "variant_id": variant_id,
                "layer": place[0],
                "role": place[1],
                "quant_type": info.ggml_type.name,
                "bits_per_weight": info.bits_per_weight,
                "weight_error": error,
                "expert_errors": of_experts,
            }
        )
    columns = [
        "variant_id",
        "layer",
        "role",
        "quant_type",
        "bits_per_weight",
        "weight_error",
        "expert_errors",
    ]
    types = Layers.create_empty().schema
    frame = pl.DataFrame(rows, schema={name: types[name] for name in columns})
    return with_schema(Layers, frame)
