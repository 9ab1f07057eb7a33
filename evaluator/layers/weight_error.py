"""How far each tensor of a variant is from the baseline's."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import polars as pl

from evaluator.architectures import EMBEDDING, HEAD, head_tensor
from evaluator.frames import ROLES, Layers, with_schema
from evaluator.sources.model_file import ModelFile

_BLOCK_WEIGHT = re.compile(r"blk\.(\d+)\.(\w+)\.weight")
_OUTSIDE_LAYERS = -1


def place_of(tensor: str) -> tuple[int, str] | None:
    """(layer, role) of a weight matrix, −1 for embedding and head; None for norms, biases and the unknown."""
    if tensor == EMBEDDING:
        return _OUTSIDE_LAYERS, "token_embd"
    if tensor == HEAD:
        return _OUTSIDE_LAYERS, "output"
    match = _BLOCK_WEIGHT.fullmatch(tensor)
    if match and match[2] in ROLES:
        return int(match[1]), match[2]
    return None


def relative_error(variant: npt.NDArray[np.float32], baseline: npt.NDArray[np.float32]) -> float | None:
    """‖variant − baseline‖ / ‖baseline‖ (Frobenius); None when the baseline is all zeros or values overflow."""
    reference = float(np.linalg.norm(baseline))
    with np.errstate(over="ignore", invalid="ignore"):  # infinite weights, which make no error then
        error = float(np.linalg.norm(variant - baseline))
    return error / reference if reference > 0 and np.isfinite(error) else None


def weight_errors(variant_id: str, variant: ModelFile, baseline: ModelFile) -> pl.DataFrame:
    """Rows of `layers.parquet` for one variant: type, bits per weight and relative weight error per matrix.

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
                "weight_error": relative_error(variant.dequantize(name), baseline.dequantize(reference)),
            }
        )
    columns = ["variant_id", "layer", "role", "quant_type", "bits_per_weight", "weight_error"]
    types = Layers.create_empty().schema
    frame = pl.DataFrame(rows, schema={name: types[name] for name in columns})
    return with_schema(Layers, frame)
