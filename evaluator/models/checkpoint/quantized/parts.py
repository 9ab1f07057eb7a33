"""The arrays of a quantized weight: its codes, and the grid of numbers that blocks of weights share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from evaluator.models.checkpoint.quantized.numbers import Numbers, Values, as_float32
from evaluator.models.checkpoint.safetensors_file import SafetensorsFile, StoredArray
from evaluator.models.checkpoint.tensor_bytes import Parameter, Rows
from evaluator.models.dequantize import Indices
from evaluator.models.json_file import JsonFile
from evaluator.support.errors import SourceError

FLOATS = ("F32", "F16", "BF16")


@dataclass(frozen=True)
class Parts:
    """The arrays of a checkpoint by name, those that weights were made of, and how it was quantized."""

    files: Mapping[str, SafetensorsFile]
    settings: JsonFile
    used: set[str] = field(default_factory=set)

    def find(self, name: str) -> StoredArray | None:
        """Return an array, and count it as used; None if there is none."""
        if name not in self.files:
            return None
        self.used.add(name)
        return self.files[name].array(name)

    def need(self, name: str, kinds: tuple[str, ...], of: StoredArray) -> StoredArray:
        """Return an array of one of the types.

        Raises:
            SourceError: it is missing, or of another type; the message says which weight needs it.
        """
        found = self.find(name)
        if found is None:
            raise SourceError(of.file.path, f"tensor {name[:80]} is missing, which {of.name[:80]} needs")
        if found.kind not in kinds:
            raise misfit(found, f"is stored as {found.kind}, not as {' or '.join(kinds)}")
        return found


#: Makes a weight of the arrays that belong to the named one; None if that is not the codes of a weight.
Reader = Callable[[StoredArray, Parts], Parameter | None]


def misfit(array: StoredArray, reason: str) -> SourceError:
    """Return the error for an array that is not as its weight requires."""
    return SourceError(array.file.path, f"tensor {array.name[:80]} {reason}")


def numbered(rows: Rows, total: int) -> Indices:
    """Return the numbers of rows out of `total`."""
    return np.arange(total)[rows] if isinstance(rows, slice) else rows


@dataclass(frozen=True)
class Grid:
    """Numbers that blocks of weights share, such as scales.

    Attributes:
        array: them, in [matrices, rows of blocks, columns of blocks] or fewer dimensions.
        shape: those three numbers.
        rows: weights per column of a matrix.
        row_block: rows of a matrix that share a row of blocks.
        columns: for every column of a matrix the column of blocks; None if these divide it evenly.
        table: values of codes, if `array` holds codes.
    """

    array: StoredArray
    shape: tuple[int, int, int]
    rows: int
    row_block: int
    columns: Indices | None
    table: Values | None = None

    def values(self, rows: Indices) -> Values:
        """Return the numbers of rows of weights, float32 [rows, columns of blocks]."""
        taken = self.array.numbers().reshape(-1, self.shape[2])[self.places(rows)]
        return as_float32(self.array.kind, taken) if self.table is None else self.table[taken]

    def places(self, rows: Indices) -> Indices:
        """Return the row of blocks of every row of weights, counted over all matrices."""
        matrices, rows_of_blocks, _ = self.shape
        matrix = rows // self.rows if matrices > 1 else np.zeros_like(rows)
        within = rows % self.rows // self.row_block if rows_of_blocks > 1 else np.zeros_like(rows)
        return matrix * rows_of_blocks + within

    def over_columns(self, numbers: Numbers) -> Numbers:
        """Return a number for every column, or as many as divide the columns evenly."""
        return numbers if self.columns is None else np.take(numbers, self.columns, axis=1)


def grid(
    array: StoredArray,
    weights: tuple[int, ...],
    block: tuple[int, int] | None = None,
    order: Indices | None = None,
    table: Values | None = None,
) -> Grid:
    """Return how the numbers of `array` lie over a weight.

    Args:
        array: one number for the whole weight, per matrix, per row, or per block of rows and columns.
        weights: shape of the weight, two or three dimensions.
        block: rows and columns of a block; without it, blocks of a row divide it evenly.
        order: for every column of the weight the column of `array`, if they are not consecutive.
        table: values of codes, if `array` holds codes.

    Raises:
        SourceError: `array` has a shape that does not fit.
    """
    matrices, (rows, columns) = math.prod(weights[:-2]), weights[-2:]
    shape = _three(array.shape, matrices, rows)
    error = misfit(array, f"of shape {list(array.shape)} does not fit a weight of shape {list(weights)}")
    if shape is None or shape[0] not in (1, matrices):
        raise error
    row_block = 1 if shape[1] in (1, rows) else block[0] if block else 0
    if shape[1] > 1 and (not row_block or -(-rows // row_block) != shape[1]):
        raise error
    if shape[2] == 1:
        return Grid(array, shape, rows, row_block, None, table)
    if order is None:
        width = block[1] if block else columns // shape[2]
        if not width or -(-columns // width) != shape[2]:
            raise error
        if columns % width == 0:
            return Grid(array, shape, rows, row_block, None, table)
        order = np.arange(columns) // width
    elif len(order) != columns or not 0 <= order.min() <= order.max() < shape[2]:
        raise error
    return Grid(array, shape, rows, row_block, order, table)


def _three(shape: tuple[int, ...], matrices: int, rows: int) -> tuple[int, int, int] | None:
    """Return the shape of a grid in three dimensions, None if it has no meaning."""
    three: tuple[int, int, int] | None = None
    match shape:
        case () | (1,):
            three = 1, 1, 1
        case (size,):
            three = (1, size, 1) if matrices == 1 else (size, 1, 1)
        case (size, columns) if matrices == 1:
            three = 1, size, columns
        case (size, inner) if inner in (1, rows):
            three = size, inner, 1
        case (size, inner, columns):
            three = size, inner, columns
        case (size, 1, columns, 1) if matrices == 1:
            three = 1, size, columns
    return three


def affine(codes: Numbers, scale: Values, zero: Numbers | None = None) -> Values:
    """Return (codes − zero) × scale, float32; each difference and product is rounded once at most.

    Args:
        codes: [rows, columns]; float32 codes are overwritten.
        scale: [rows, parts], each for equally many neighbouring columns.
        zero: [rows or 1, parts], not necessarily as many.
    """
    values: Values = codes.astype(np.float32, copy=False)
    if zero is not None:
        of_zero = values.reshape(len(values), zero.shape[1], -1)
        of_zero -= zero.astype(np.float32)[:, :, None]
    of_scale = values.reshape(len(values), scale.shape[1], -1)
    of_scale *= scale[:, :, None]
    return values


def block_columns(settings: JsonFile) -> tuple[int, int] | None:
    """Return rows and columns of the blocks that `weight_block_size` states.

    Raises:
        SourceError: it is something other than two positive whole numbers.
    """
    match settings.values.get("weight_block_size"):
        case None:
            return None
        case [int(rows), int(columns)] if rows > 0 and columns > 0:
            return rows, columns
        case other:
            raise settings.error("weight_block_size", other, "two positive whole numbers")


def whole_numbers(array: StoredArray) -> npt.NDArray[np.int64]:
    """Return an array of whole numbers, flat.

    Raises:
        SourceError: it holds something else.
    """
    if array.kind not in ("I32", "I64"):
        raise misfit(array, f"is stored as {array.kind}, not as whole numbers")
    return array.numbers().astype(np.int64).reshape(-1)
