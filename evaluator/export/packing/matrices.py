"""Convert a tensor to its form in the artifact: packed if its type has a packing, else floats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt
from gguf import GGML_QUANT_SIZES
from gguf import GGMLQuantizationType as GGMLType
from onnx import TensorProto

from evaluator.export.exact.weights import matrix_scale, tensor_values
from evaluator.export.fusion.half import as_half
from evaluator.export.packing.formats import PACKINGS, Packed
from evaluator.models.architectures import architecture_of, row_order
from evaluator.models.model_file import ModelFile
from evaluator.models.tensor_types import TensorType
from evaluator.support.errors import ExportError

Values = npt.NDArray[np.float32]

#: Floating-point types, stored as they are and multiplied as float32. (numpy has no bfloat16.)
_FLOATS: Mapping[TensorType, tuple[str, int]] = {
    GGMLType.F16: ("<f2", TensorProto.FLOAT16),
    GGMLType.BF16: ("<u2", TensorProto.BFLOAT16),
}
#: All types whose values are floats.
FLOAT_TYPES = ("F64", "F32", "F16", "BF16")
#: Length of a row that divides into blocks of every type.
_SAMPLE = 1024


@dataclass(frozen=True)
class Floating:
    """A matrix as floats: [rows, columns] of the ONNX type; bfloat16 as its bits, uint16."""

    data: npt.NDArray[Any]
    onnx_type: int = TensorProto.FLOAT

    def rows(self, chosen: slice) -> Floating:
        """Return some of the rows."""
        return Floating(self.data[chosen], self.onnx_type)

    def values(self) -> Values:
        """Return the weights, float32 [rows, columns]."""
        if self.onnx_type == TensorProto.BFLOAT16:
            return (self.data.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return self.data.astype(np.float32)


Matrix = Packed | Floating


def deployed_matrix(file: ModelFile, tensor: str, index: int | None = None, *, exact: bool = False) -> Matrix:
    """Return a matrix in its form in the artifact, with rows in the order of the graph.

    Args:
        file: the model.
        tensor: one of its matrices.
        index: which matrix of a tensor that stacks several; None for the only one.
        exact: dequantize to float32, whatever the type.

    Raises:
        SourceError: there is no such tensor, or its type can be neither packed nor dequantized.
    """
    kind = file.tensor(tensor).ggml_type
    scale = matrix_scale(file, tensor, index)
    if not exact and _is_packed(kind) and file.row_factors(tensor) is None:
        packed = PACKINGS.get(kind.name)(_moved_rows(file, tensor, index))
        return packed if scale is None else _times(packed, scale)
    if not exact and kind in _FLOATS and scale is None:
        dtype, onnx_type = _FLOATS[kind]
        if index is not None:  # a checkpoint would gather the bytes of all of them
            return Floating(_narrowed(file.matrix(tensor, index), onnx_type), onnx_type)
        return Floating(_moved_rows(file, tensor, index).view(dtype), onnx_type)
    return Floating(tensor_values(file, tensor, index))


def _times(matrix: Packed, scale: Values) -> Packed:
    """Return a matrix times a number, float32 [1]."""
    offsets = None if matrix.offsets is None else matrix.offsets * scale
    return replace(matrix, scales=matrix.scales.astype(np.float32) * scale, offsets=offsets)


def _narrowed(values: Values, onnx_type: int) -> npt.NDArray[Any]:
    """Return values that a type of 16 bits holds exactly in this type; bfloat16 as its bits."""
    if onnx_type == TensorProto.FLOAT16:
        return values.astype(np.float16)
    return (np.ascontiguousarray(values).view(np.uint32) >> np.uint32(16)).astype(np.uint16)


def _is_packed(kind: TensorType) -> TypeGuard[GGMLType]:
    """Return whether a type has a packing; types of checkpoints have none, though some share a name with GGUF's."""
    return isinstance(kind, GGMLType) and kind.name in PACKINGS.names()


@cache
def bytes_per_weight(kind: TensorType) -> float:
    """Return the most bytes per weight that a type takes in the artifact if it is not dequantized."""
    if kind in _FLOATS:
        return 2
    if not _is_packed(kind):
        return 4
    block, block_bytes = GGML_QUANT_SIZES[kind]
    matrix = PACKINGS.get(kind.name)(np.zeros((1, _SAMPLE // block * block_bytes), np.uint8))
    # A lookup adds zero points to the scales, and a head that is the embedding stores the offsets a second time.
    numbers = (matrix.codes.size + matrix.scales.size) * matrix.bits / 8 + matrix.scales.nbytes
    return (numbers + (0 if matrix.offsets is None else 2 * matrix.offsets.nbytes)) / matrix.codes.size


def halved(matrix: Matrix, name: str) -> Matrix:
    """Convert a matrix's floats or scales to float16; offsets, of which there are few, stay float32.

    Raises:
        ExportError: some of them are too large for float16.
    """
    try:
        if isinstance(matrix, Packed):
            return replace(matrix, scales=as_half(matrix.scales.astype(np.float32)))
        return Floating(as_half(matrix.values()), TensorProto.FLOAT16)
    except ValueError as error:
        raise ExportError(f"{name}: {error}") from error


def _moved_rows(file: ModelFile, tensor: str, index: int | None) -> npt.NDArray[np.uint8]:
    """Return a matrix's bytes, uint8 [rows, bytes per row], with rows in the order of the graph."""
    info = file.tensor(tensor)
    raw = file.raw(tensor).reshape(info.n_rows, -1)
    if index is not None:  # families whose rows are moved stack no matrices
        rows = info.shape[-2]
        return np.ascontiguousarray(raw[index * rows : (index + 1) * rows])
    order = row_order(architecture_of(file), file, tensor)
    in_place = (order == np.arange(len(order))).all()
    return np.ascontiguousarray(raw) if in_place else raw[order]
