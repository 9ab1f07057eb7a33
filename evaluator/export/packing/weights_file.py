"""Write the file that an artifact's initializers refer to, from front to back; readers map it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

#: A cache line, because kernels load whole vectors.
_ALIGNMENT = 64


class WeightsFile:
    """Writes `path`, and removes it if that fails."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._output = path.open("wb")
        self._position = 0

    def place(self, name: str, values: npt.NDArray[Any], onnx_type: int | None = None) -> onnx.TensorProto:
        """Append `values` and return the initializer `name` that refers to them.

        Args:
            name: the initializer's name.
            values: values of a type that numpy and ONNX share, or the bits of `onnx_type`.
            onnx_type: ONNX type that numpy lacks.
        """
        data = np.ascontiguousarray(values)
        self._output.write(b"\0" * (-self._position % _ALIGNMENT))
        self._position += -self._position % _ALIGNMENT
        kind = helper.np_dtype_to_tensor_dtype(data.dtype) if onnx_type is None else onnx_type
        initializer = TensorProto(name=name, data_type=kind, dims=data.shape)
        initializer.data_location = TensorProto.EXTERNAL
        for key, value in (
            ("location", self._path.name),
            ("offset", self._position),
            ("length", data.nbytes),
        ):
            initializer.external_data.add(key=key, value=str(value))
        self._output.write(data.data)
        self._position += data.nbytes
        return initializer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._output.close()
        if kind is not None:
            self._path.unlink(missing_ok=True)


def again(initializer: onnx.TensorProto, name: str, dims: tuple[int, ...]) -> onnx.TensorProto:
    """Return an initializer with another name and shape for the same bytes of the file."""
    other = TensorProto()
    other.CopyFrom(initializer)
    other.name = name
    del other.dims[:]
    other.dims.extend(dims)
    return other
