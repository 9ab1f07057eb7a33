"""The bytes of a checkpoint's tensors as the GGUF file would hold them: as stored, changed, or computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gguf
import numpy as np
import numpy.typing as npt

from evaluator.models.checkpoint.safetensors_file import SafetensorsFile
from evaluator.models.model_file import TensorInfo

Bytes = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TensorBytes:
    """A tensor's bytes.

    Attributes:
        read: returns them, uint8 [..., bytes per row].
        stored: returns the mapped bytes that they are made of; None if they are not from a file.
    """

    read: Callable[[], Bytes]
    stored: Callable[[], Bytes] | None


def as_stored(file: SafetensorsFile, info: TensorInfo) -> TensorBytes:
    """Return the bytes of the file, mapped."""
    return TensorBytes(lambda: file.raw(info), lambda: file.raw(info))


def shifted(file: SafetensorsFile, info: TensorInfo, offset: float) -> TensorBytes:
    """Return the values plus `offset`, as float32 because a 16-bit type would round the sum."""

    def read() -> Bytes:
        values: Values = gguf.dequantize(file.raw(info), info.ggml_type).astype(np.float32)
        return (values + np.float32(offset)).view(np.uint8)

    return TensorBytes(read, lambda: file.raw(info))


def rearranged(file: SafetensorsFile, info: TensorInfo, restore: Callable[[Values], Values]) -> TensorBytes:
    """Return the rows in the order that `restore` undoes; it is found by restoring the row numbers."""

    def read() -> Bytes:
        numbers = np.arange(info.shape[0], dtype=np.float32)[:, None]
        order = np.argsort(restore(numbers)[:, 0])
        raw = file.raw(info)
        return raw.reshape(info.shape[0], -1)[order].reshape(raw.shape)

    return TensorBytes(read, lambda: file.raw(info))


def computed(values: Values) -> TensorBytes:
    """Return values that no file holds, float32."""
    return TensorBytes(lambda: values.view(np.uint8), None)
