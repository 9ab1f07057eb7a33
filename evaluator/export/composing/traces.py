"""Shapes of the values of a piece while it is built, so that a tensor of another shape is found and named.

Numbers of windows and positions are not known (None), and neither are values that unlisted operators make.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluator.export.fusion.attention import ATTENTION
from evaluator.export.fusion.norms import NORM
from evaluator.support.errors import ExportError

Dims = tuple[int | None, ...]
Inputs = Sequence[Dims | None]
Constants = Sequence[npt.NDArray[Any] | None]
Rule = Callable[[Inputs, Constants, Mapping[str, Any]], Sequence[Dims | None]]


class Traces:
    """The known shapes of one piece."""

    def __init__(self) -> None:
        self._dims: dict[str, Dims] = {}
        self._constants: dict[str, npt.NDArray[Any]] = {}
        self._tensors: dict[str, tuple[str, tuple[int, ...]]] = {}

    def declare(self, value: str, dims: Dims) -> None:
        """Note the shape of a value."""
        self._dims[value] = dims

    def constant(self, value: str, array: npt.NDArray[Any]) -> None:
        """Note a constant."""
        self._constants[value], self._dims[value] = array, array.shape

    def weight(self, value: str, dims: Dims, tensor: str, shape: tuple[int, ...]) -> None:
        """Note a value that is a tensor of the file with a shape, perhaps transposed."""
        self._dims[value], self._tensors[value] = dims, (tensor, shape)

    def expect(self, value: str, width: int) -> None:
        """Check the length of a value's last axis, if it is known.

        Raises:
            ExportError: it is another one; the message names the tensor that it comes from.
        """
        known = self._dims.get(value)
        if known and known[-1] not in (width, None):
            raise self._error([value])

    def follow(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str], attributes: Mapping[str, Any]
    ) -> None:
        """Note the shapes of a node's outputs.

        Raises:
            ExportError: its inputs do not fit; the message names a tensor that they come from.
        """
        rule = _RULES.get(operator, _unknown)
        try:
            found = rule(
                [self._dims.get(name) for name in inputs],
                [self._constants.get(name) for name in inputs],
                attributes,
            )
        except ValueError:
            raise self._error(inputs) from None
        for name, dims in zip(outputs, found, strict=False):
            if dims is not None:
                self._dims[name] = dims
        second = operator == "MatMul" and inputs[1] in self._tensors
        source = next((name for name in inputs[second:] if name in self._tensors), None)
        if source:
            self._tensors |= dict.fromkeys(outputs, self._tensors[source])

    def stop(self) -> None:
        """Follow no further nodes."""
        self.follow = lambda *_: None  # type: ignore[method-assign]

    def _error(self, inputs: Sequence[str]) -> ExportError:
        """Return an error that names the last of the tensors that a node's inputs come from, and the one before."""
        named = dict(self._tensors[name] for name in reversed(inputs) if name in self._tensors)
        if not named:
            return ExportError("the description does not fit itself")
        (tensor, shape), *others = named.items()
        to = " of shape ".join(map(str, others[0])) if others else "the metadata"
        return ExportError(f"tensor {tensor} is {shape}, which does not fit {to}")


def _unknown(dims: Inputs, constants: Constants, attributes: Mapping[str, Any]) -> Sequence[Dims | None]:
    return []


def _same(dims: Inputs, constants: Constants, attributes: Mapping[str, Any]) -> Sequence[Dims | None]:
    return dims[:1]


def _broadcast(dims: Inputs, constants: Constants, attributes: Mapping[str, Any]) -> Sequence[Dims | None]:
    axes = zip_longest(*(reversed(shape) for shape in dims if shape is not None), fillvalue=1)
    found = tuple(reversed([_common(axis) for axis in axes]))
    return [] if None in dims else [found]


def _common(sizes: Sequence[int | None]) -> int | None:
    """Return the size of an axis that all inputs share; 1 is repeated.

    Raises:
        ValueError: they differ.
    """
    known = {size for size in sizes if size not in (1, None)}
    if len(known) > 1:
        raise ValueError
    return known.pop() if known else (None if None in sizes else 1)


def _product(dims: Inputs, constants: Constants, attributes: Mapping[str, Any]) -> Sequence[Dims | None]:
    left, right = dims
    if left is None or right is None:
        return []
    if len(left) < 2 or len(right) < 2:
        raise ValueError
    _equal(left[-1], right[-2])
    (batch,) = _broadcast([left[:-2], right[:-2]], [], {})
    return [(*(batch or ()), left[-2], right[-1])]


def _norm(dims: Inputs, constants: Constants, attributes: Mapping[str, Any]) -> Sequence[Dims | None]:
    x, *vectors = dims
    for vector in vectors:
        if x is not None and vector is not None:
            if len(vector) != 1:
                raise ValueError
            _equal(x[-1], vector[0])
    return [x]


def _reshape(dims: Inputs, constants: Constants, attributes: Mapping[str, Any]) -> Sequence[Dims | None]:
    (x, _), (_, shape) = dims, constants
    if x is None or shape is None:
        return []
    kept = {axis for axis, size in enumerate(shape) if size == 0}
    if kept and max(kept) >= len(x):
        raise ValueError
    rest: list[Any] = [size for axis, size in enumerate(x) if axis not in kept]
    total = None if None in rest else prod(rest)
    stated = prod(int(size) for size in shape if size > 0)
    if total is not None and (total % stated or (-1 not in shape and total != stated)):
        raise ValueError
    open_size = None if total is None else total // stated
    return [
        tuple(
            x[axis] if size == 0 else open_size if size < 0 else int(size) for axis, size in enumerate(shape)
        )
    ]


def _split(dims: Inputs, constants: Constants, attributes: Mapping[str, Any]) -> Sequence[Dims | None]:
    (x, _), (_, sizes) = dims, constants
    if x is None or sizes is None:
        return []
    axis = attributes["axis"] % len(x)
    _equal(x[axis], int(sum(sizes)))
    return [(*x[:axis], int(size), *x[axis + 1 :]) for size in sizes]


def _concat(dims: Inputs, constants: Constants, attributes: Mapping[str, Any]) -> Sequence[Dims | None]:
    known = [shape for shape in dims if shape is not None]
    if len(known) < len(dims):
        return []
    axis = attributes["axis"] % len(known[0])
    sizes = [shape[axis] for shape in known]
    (rest,) = _broadcast([(*shape[:axis], 1, *shape[axis + 1 :]) for shape in known], [], {})
    total = None if None in sizes else sum(size or 0 for size in sizes)
    return [(*(rest or ())[:axis], total, *(rest or ())[axis + 1 :])]


def _transpose(dims: Inputs, constants: Constants, attributes: Mapping[str, Any]) -> Sequence[Dims | None]:
    (x,), order = dims, attributes["perm"]
    if x is None:
        return []
    if len(x) != len(order):
        raise ValueError
    return [tuple(x[axis] for axis in order)]


def _unsqueeze(dims: Inputs, constants: Constants, attributes: Mapping[str, Any]) -> Sequence[Dims | None]:
    (x, _), (_, axes) = dims, constants
    if x is None or axes is None:
        return []
    (axis,) = axes
    return [(*x[:axis], 1, *x[axis:])]


def _squeeze(dims: Inputs, constants: Constants, attributes: Mapping[str, Any]) -> Sequence[Dims | None]:
    (x, _), (_, axes) = dims, constants
    if x is None or axes is None:
        return []
    (axis,) = axes
    _equal(x[axis], 1)
    return [(*x[:axis], *x[axis + 1 :])]


def _slice(dims: Inputs, constants: Constants, attributes: Mapping[str, Any]) -> Sequence[Dims | None]:
    x, (_, start, end, axis) = dims[0], constants
    if x is None or start is None or end is None or axis is None or axis[0] != -1:
        return []
    return [(*x[:-1], int(end[0] - start[0]))]


def _reduce(dims: Inputs, constants: Constants, attributes: Mapping[str, Any]) -> Sequence[Dims | None]:
    x = dims[0]
    return [] if x is None else [(*x[:-1], 1)]


def _pad(dims: Inputs, constants: Constants, attributes: Mapping[str, Any]) -> Sequence[Dims | None]:
    (x, *_), (_, pads) = dims, constants[:2]
    if x is None or pads is None:
        return []
    if 2 * len(x) != len(pads):
        raise ValueError
    added = np.asarray(pads).reshape(2, -1).sum(axis=0)
    return [tuple(None if size is None else size + int(more) for size, more in zip(x, added, strict=True))]


def _gather(dims: Inputs, constants: Constants, attributes: Mapping[str, Any]) -> Sequence[Dims | None]:
    table, ids = dims
    if table is None or ids is None:
        return []
    if len(table) != 2:
        raise ValueError
    return [(*ids, *table[1:])]


def _convolution(dims: Inputs, constants: Constants, attributes: Mapping[str, Any]) -> Sequence[Dims | None]:
    x, kernel, *biases = dims
    for vector in (kernel, *biases):
        if x is not None and vector is not None:
            _equal(x[-1], vector[0])
    return [x]


def _recurrence(dims: Inputs, constants: Constants, attributes: Mapping[str, Any]) -> Sequence[Dims | None]:
    query, keys, values, _, *rates = dims
    if query and keys:
        _equal(query[-1], keys[-1])
    for rate in rates:
        _equal(rate[-1] if rate else None, attributes["kv_num_heads"])
    return [values]


def _attention(dims: Inputs, constants: Constants, attributes: Mapping[str, Any]) -> Sequence[Dims | None]:
    heads, kv_heads = attributes["num_heads"], attributes["kv_num_heads"]
    query, keys, values = dims[:3]
    if query and query[-1] is not None:
        width, rest = divmod(query[-1], heads)
        _equal(rest, 0)
        for kept in (keys, values):
            _equal(width * kv_heads, kept[-1] if kept else None)
    return [query]


def _equal(size: int | None, other: int | None) -> None:
    """Check that two sizes are equal if both are known.

    Raises:
        ValueError: they differ.
    """
    if None not in (size, other) and size != other:
        raise ValueError


_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("Sigmoid", "Relu", "Exp", "Neg", "Abs", "Log", "Sqrt", "Gelu", "Tanh"), _same),
    **dict.fromkeys(("Identity", "RotaryEmbedding"), _same),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Min", "Max", "Clip", "Where", "Greater"), _broadcast),
    **dict.fromkeys(("ReduceMean", "ReduceSumSquare", "ReduceL2"), _reduce),
    **dict.fromkeys((NORM, "LayerNormalization"), _norm),
    "MatMul": _product,
    "Reshape": _reshape,
    "Split": _split,
    "Concat": _concat,
    "Transpose": _transpose,
    "Pad": _pad,
    "Gather": _gather,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "CausalConvWithState": _convolution,
    "LinearAttention": _recurrence,
    ATTENTION: _attention,
}
