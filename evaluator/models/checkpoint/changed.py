"""Carry out a family's changes of tensors, for any rows that are read and however the tensor is stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import singledispatch
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from evaluator.models.architectures.changes import (
    Change,
    Columns,
    Computed,
    Indices,
    Rows,
    Scaled,
    Shape,
    Shaped,
    Transposed,
)
from evaluator.models.checkpoint.tensor_bytes import (
    Parameter,
    TensorBytes,
    TensorRows,
    value_rows,
)
from evaluator.models.checkpoint.tensor_bytes import Rows as Chosen
from evaluator.models.json_file import JsonFile
from evaluator.support.errors import SourceError

Numbers = npt.NDArray[Any]
#: Returns rows, [rows, columns]: values, or stored numbers that stand for them.
Reader = Callable[[Chosen], Numbers]
_F32 = gguf.GGMLQuantizationType.F32


def changed(parameter: Parameter, changes: Sequence[Change], config: JsonFile) -> Parameter:
    """Return a parameter after all changes.

    Raises:
        SourceError: its shape does not fit config.json.
    """
    for change in changes:
        try:
            parameter = _change(change, parameter, config)
        except (ValueError, IndexError):
            info = parameter.info
            reason = f"of shape {list(info.shape)} does not fit config.json"
            raise SourceError(config.path, f"tensor {info.name[:80]} {reason}") from None
    return parameter


def stacked(parameters: Sequence[Parameter]) -> Parameter:
    """Return matrices, or vectors, of one shape as one tensor.

    If some have another type than others, its type is float32.

    Raises:
        ValueError: their shapes differ.
    """
    first = parameters[0].info
    if any(item.info.shape != first.shape for item in parameters):
        raise ValueError("shapes differ")
    n_bytes = sum(item.info.n_bytes for item in parameters)
    info = replace(first, shape=(len(parameters), *first.shape), n_bytes=n_bytes)
    sources = [item.source for item in parameters]

    def stored() -> list[npt.NDArray[np.uint8]]:
        return [array for source in sources for array in source.stored()]

    if {item.info.ggml_type for item in parameters} != {first.ggml_type}:
        info = replace(info, ggml_type=_F32)
    elif all(isinstance(source, TensorBytes) for source in sources):
        rows = [source.rows for source in sources if isinstance(source, TensorBytes)]
        return Parameter(info, TensorBytes(_joined(rows, first.n_rows), stored, mapped=False))
    return Parameter(
        info, TensorRows(_joined([value_rows(item) for item in parameters], first.n_rows), stored)
    )


def _joined(readers: Sequence[Reader], each: int) -> Reader:
    """Return the reader of tensors with `each` rows one after another."""

    def read(rows: Chosen) -> Numbers:
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(each * len(readers))
            if start >= stop:
                return readers[0](slice(0, 0))
            parts = [
                readers[item](slice(max(start - item * each, 0), min(stop - item * each, each)))
                for item in range(start // each, -(-stop // each))
            ]
            return parts[0] if len(parts) == 1 else np.concatenate(parts)
        if not len(rows):
            return readers[0](slice(0, 0))
        owners = rows // each
        taken = [(owners == item, readers[item](rows[owners == item] % each)) for item in np.unique(owners)]
        values = np.empty((len(rows), taken[0][1].shape[1]), taken[0][1].dtype)
        for places, part in taken:
            values[places] = part
        return values

    return read


@singledispatch
def _change(change: Change, parameter: Parameter, config: JsonFile) -> Parameter:
    """Return the parameter after one change."""
    raise NotImplementedError(type(change).__name__)


@_change.register
def _(change: Rows, parameter: Parameter, config: JsonFile) -> Parameter:
    shape = parameter.info.shape
    if len(shape) == 1:
        return _change(Columns(change.order), parameter, config)
    before = shape[-2]
    order = _checked(change.order(config, before), before)
    total = math.prod(shape[:-2]) * len(order)

    def taken(read: Reader) -> Reader:
        def rows(chosen: Chosen) -> Numbers:
            numbers = np.arange(total)[chosen] if isinstance(chosen, slice) else chosen
            return read(_together(numbers // len(order) * before + order[numbers % len(order)]))

        return rows

    return _with_shape(parameter, (*shape[:-2], len(order), shape[-1]), taken)


@_change.register
def _(change: Columns, parameter: Parameter, config: JsonFile) -> Parameter:
    shape = parameter.info.shape
    order = _checked(change.order(config, shape[-1]), shape[-1])
    return _with_shape(
        parameter, (*shape[:-1], len(order)), lambda read: lambda chosen: read(chosen)[:, order]
    )


@_change.register
def _(change: Transposed, parameter: Parameter, config: JsonFile) -> Parameter:
    if parameter.info.ggml_type in change.unless:
        return parameter
    *outer, rows, columns = parameter.info.shape
    total = math.prod(outer) * columns

    def swapped(read: Reader) -> Reader:
        def taken(chosen: Chosen) -> Numbers:
            numbers = np.arange(total)[chosen] if isinstance(chosen, slice) else chosen
            matrices, within = numbers // columns, numbers % columns
            parts = [read(slice(0, 0)).reshape(0, rows)]
            # Rows of one matrix after another, in the order in which they are wanted.
            for run in np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(matrices)) + 1):
                if len(run):
                    matrix = int(matrices[run[0]])
                    whole = read(slice(matrix * rows, (matrix + 1) * rows))
                    parts.append(whole[:, _together(within[run])].T)
            return np.concatenate(parts)

        return taken

    return _with_shape(parameter, (*outer, columns, rows), swapped)


@_change.register
def _(change: Shaped, parameter: Parameter, config: JsonFile) -> Parameter:
    before, after = parameter.info.shape, change.shape(config, parameter.info.shape)
    if math.prod(before) != math.prod(after) or not after:
        raise ValueError("another number of values")
    if before[-1] == after[-1]:
        return _with_shape(parameter, after, lambda read: read)
    rows = parameter.info.n_rows
    return _with_shape(
        parameter,
        after,
        lambda read: lambda chosen: read(slice(0, rows)).reshape(-1, after[-1])[chosen],
    )


@_change.register
def _(change: Computed, parameter: Parameter, config: JsonFile) -> Parameter:
    info, values = parameter.info, value_rows(parameter)
    return Parameter(
        replace(info, ggml_type=_F32, n_bytes=4 * info.n_elements),
        TensorRows(lambda chosen: change.function(config, values(chosen)), parameter.source.stored),
    )


@_change.register
def _(change: Scaled, parameter: Parameter, config: JsonFile) -> Parameter:
    info, values = parameter.info, value_rows(parameter)
    rows = info.shape[-2] if len(info.shape) > 1 else 1
    factors = change.factors(config, rows)
    if factors.shape != (rows,):
        raise ValueError("another number of factors")

    def scaled(chosen: Chosen) -> Numbers:
        numbers = np.arange(info.n_rows)[chosen] if isinstance(chosen, slice) else chosen
        return values(chosen) * factors[numbers % rows, None]

    return Parameter(
        replace(info, ggml_type=_F32, n_bytes=4 * info.n_elements),
        TensorRows(scaled, parameter.source.stored),
    )


def _with_shape(parameter: Parameter, shape: Shape, change: Callable[[Reader], Reader]) -> Parameter:
    """Return a parameter of another shape, whose rows are read by the changed reader."""
    info, source = parameter.info, parameter.source
    n_bytes = info.n_bytes * math.prod(shape) // info.n_elements
    info = replace(info, shape=shape, n_bytes=n_bytes)
    if isinstance(source, TensorRows):
        return Parameter(info, replace(source, decode=change(source.decode)))
    rows_of = source.rows
    number = np.dtype(f"u{parameter.info.n_bytes // parameter.info.n_elements}")
    read = change(lambda chosen: rows_of(chosen).view(number))
    return Parameter(
        info,
        replace(source, rows=lambda chosen: np.ascontiguousarray(read(chosen)).view(np.uint8), mapped=False),
    )


def _checked(order: Indices, count: int) -> Indices:
    """Check the numbers of rows or columns, of which there are `count`."""
    if not order.size or not 0 <= order.min() <= order.max() < count:
        raise IndexError("no such row or column")
    return order


def _together(numbers: Indices) -> Chosen:
    """Return consecutive numbers as a slice, which reads without a copy."""
    if numbers.size and (np.diff(numbers) == 1).all():
        return slice(int(numbers[0]), int(numbers[-1]) + 1)
    return numbers
