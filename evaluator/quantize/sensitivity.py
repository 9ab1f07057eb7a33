"""Measure the quantization error of each matrix for each type.

For weights W, quantized weights V and importances h (mean squared activations per column):

    weighted(matrix, type) = Σ h_j (W_ij − V_ij)² / Σ h_j W_ij²

This is the mean squared error of the matrix's output relative to the output itself, if channels are uncorrelated.
Where a few channels have nearly all of h, it depends on those and ignores the rest; with h = 1 (`plain`) it is the
other way round. Their geometric mean (`mixed`) predicts the measured divergence best: see docs/quantizing.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as GGMLType

from evaluator.models.dequantize import dequantize_rows
from evaluator.models.model_file import ModelFile
from evaluator.quantize import ggml
from evaluator.support.errors import SourceError

Values = npt.NDArray[np.float32]

#: Weights per matrix that errors are measured on, in evenly spread rows. Half as many change the errors by about a
#: percent, and types differ by far more.
SAMPLE_WEIGHTS = 1 << 17
#: Rows with the largest weighted outputs, which are always measured: a single one may write the attention sinks, and
#: then it is nearly the whole of a matrix's output.
_LARGEST_ROWS = 8
_TINY = float(np.finfo(np.float32).tiny)


class Errors(NamedTuple):
    """Relative squared errors of a matrix at one type; `weighted` equals `plain` without importances."""

    weighted: float
    plain: float

    @property
    def mixed(self) -> float:
        """Their geometric mean."""
        return math.sqrt(self.weighted * self.plain)


def measure_errors(
    file: ModelFile,
    name: str,
    kinds: Iterable[GGMLType],
    importance: Values | None,
    pool: ThreadPoolExecutor,
) -> Mapping[GGMLType, Errors]:
    """Measure the relative squared errors of one matrix for each type.

    There is none at the quantized type that a matrix has already, because its bytes are copied.

    Args:
        file: the model.
        name: one of its matrices.
        kinds: types whose blocks its rows fill.
        importance: float32 [matrices, columns]; None weights all columns equally.
        pool: threads to quantize on.

    Raises:
        SourceError: the matrix cannot be read, holds values that are not finite, or a type cannot be made.
    """
    own = file.tensors[name].ggml_type
    values = file.dequantize(name)
    values = values.reshape(-1, *values.shape[-2:])
    alike = np.ones((1, 1), np.float32)
    rows, shares = _sampled_rows(values, alike if importance is None else importance)
    sample = np.ascontiguousarray(values[:, rows])
    errors: dict[GGMLType, Errors] = {}
    for kind in kinds:
        if kind == own and ggml.block_size(kind) > 1:
            errors[kind] = Errors(0.0, 0.0)
            continue
        try:
            encoded = ggml.quantize(sample, kind, importance, pool)
        except ValueError as error:
            raise SourceError(file.path, f"tensor {name}: {error}") from None
        encoded_rows = encoded.reshape(-1, encoded.shape[-1])
        difference = dequantize_rows(encoded_rows, kind).reshape(sample.shape) - sample
        errors[kind] = Errors(
            *(
                _weighted(difference, weights, shares) / max(_weighted(sample, weights, shares), _TINY)
                for weights in (alike if importance is None else importance, alike)
            )
        )
    return errors


def _sampled_rows(values: Values, weights: Values) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Return the rows of float32 [matrices, rows, columns] to measure, and how many rows each stands for."""
    matrices, n_rows, columns = values.shape
    wanted = max(1, min(n_rows, SAMPLE_WEIGHTS // (matrices * columns)))
    if wanted == n_rows:
        return np.arange(n_rows), np.ones(n_rows)
    squares = np.einsum("mrc,mrc,mc->r", values, values, np.broadcast_to(weights, (matrices, columns)))
    order = np.argsort(squares, kind="stable")
    n_largest = min(_LARGEST_ROWS, wanted // 2)
    largest, others = np.sort(order[n_rows - n_largest :]), np.sort(order[: n_rows - n_largest])
    spread = others[np.linspace(0, len(others) - 1, wanted - n_largest).round().astype(np.intp)]
    shares = np.concatenate([np.ones(n_largest), np.full(len(spread), len(others) / len(spread))])
    return np.concatenate([largest, spread]), shares


def _weighted(values: Values, weights: Values, shares: npt.NDArray[np.float64]) -> float:
    """Compute Σ shares × weights × values² in double precision.

    Args:
        values: float32 [matrices, rows, columns].
        weights: float32 [matrices or 1, columns or 1].
        shares: float64 [rows].
    """
    squares = np.einsum("mrc,mrc,r->mc", values, values, shares)
    return float((squares * weights).sum())
