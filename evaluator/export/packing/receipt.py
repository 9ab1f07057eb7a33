"""Write the fidelity receipt: each tensor's form in the artifact, its distance from the file's, and the reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from onnx import TensorProto
from pydantic import BaseModel
from rich.table import Table

from evaluator.export.exact.weights import tensor_values
from evaluator.export.folder import RECEIPT_FILE
from evaluator.export.packing.formats import Packed
from evaluator.export.packing.matrices import FLOAT_TYPES, Matrix
from evaluator.models.architectures import HEAD, head_tensor
from evaluator.models.model_file import ModelFile, TensorInfo
from evaluator.support.terminal import table_of
from evaluator.support.units import MEGABYTE

#: Bit for bit the file's values; equal up to the last bits of float32; neither.
Fidelity = Literal["exact", "rounded", "different"]
_ROUNDING = 1e-6
_ROWS = 4096
_FLOAT_NAMES = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
}

Values = npt.NDArray[np.float32]


class Entry(BaseModel):
    """One matrix.

    Attributes:
        tensor: its name in the file.
        quant_type: its GGML type.
        form: its representation in the artifact.
        fidelity: how its values compare with those that the type defines.
        max_error: largest difference of a weight.
        relative_error: ‖artifact − file‖ / ‖file‖ (Frobenius).
        baseline_error: ‖artifact − baseline‖ / ‖baseline‖, if a baseline was given.
        file_bytes: bytes in the file.
        artifact_bytes: bytes in the artifact: codes, scales, offsets.
        why: the reason for the form.
    """

    tensor: str
    quant_type: str
    form: str
    fidelity: Fidelity
    max_error: float
    relative_error: float
    baseline_error: float | None = None
    file_bytes: int
    artifact_bytes: int
    why: str


class Receipt(BaseModel):
    """All matrices of an artifact; the rest of it (norms, biases, rotary tables) is exact float32."""

    source: str
    accuracy_level: int
    source_bytes: int
    artifact_bytes: int
    tensors: list[Entry]

    def write(self, folder: Path) -> None:
        """Write `receipt.json`."""
        (folder / RECEIPT_FILE).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def table(self) -> Table:
        """Return a table with a row per type, form and fidelity."""
        size = (
            f"{self.artifact_bytes / MEGABYTE:,.1f} MB for a file of {self.source_bytes / MEGABYTE:,.1f} MB"
        )
        groups: dict[tuple[str, str, str], list[Entry]] = {}
        for entry in self.tensors:
            groups.setdefault((entry.quant_type, entry.form, entry.fidelity), []).append(entry)
        rows = []
        for (quant_type, form, fidelity), entries in groups.items():
            ratio = sum(e.artifact_bytes for e in entries) / sum(e.file_bytes for e in entries)
            worst = max(entry.max_error for entry in entries)
            rows.append((quant_type, str(len(entries)), form, fidelity, f"{worst:.2g}", f"× {ratio:.2f}"))
        headers = ("type", "tensors", "in the artifact", "values", "largest error", "bytes")
        return table_of(headers, rows, size)


class Comparison:
    """Compares a tensor's form in the artifact with the file's values, one matrix at a time."""

    def __init__(self, file: ModelFile, tensor: str, baseline: ModelFile | None = None) -> None:
        """Start.

        Args:
            file: the model.
            tensor: the tensor's name.
            baseline: the model to compare with too.
        """
        self._file, self._tensor, self._baseline = file, tensor, baseline
        self._form = self._why = ""
        self._bytes = 0
        self._distance, self._from_baseline = _Distance(), _Distance()

    def add(self, matrix: Matrix, index: int | None = None) -> None:
        """Compare a matrix.

        Args:
            matrix: its form in the artifact.
            index: which matrix of a tensor that stacks several; None for the only one.

        Raises:
            SourceError: the baseline lacks the tensor.
        """
        self._form, self._why = _form(matrix, self._file.tensor(self._tensor))
        self._bytes += _bytes_of(matrix)
        self._distance.add(matrix, tensor_values(self._file, self._tensor, index))
        if self._baseline:
            name = head_tensor(self._baseline) if self._tensor == HEAD else self._tensor
            self._from_baseline.add(matrix, tensor_values(self._baseline, name, index))

    def entry(self) -> Entry:
        """Return what was found."""
        info = self._file.tensor(self._tensor)
        largest = self._distance.largest
        fidelity: Fidelity = "exact"
        if largest > 0:
            fidelity = "rounded" if largest <= _ROUNDING * self._distance.peak else "different"
        return Entry(
            tensor=self._tensor,
            quant_type=info.ggml_type.name,
            form=self._form,
            fidelity=fidelity,
            max_error=largest,
            relative_error=self._distance.relative,
            baseline_error=self._from_baseline.relative if self._baseline else None,
            file_bytes=info.n_bytes,
            artifact_bytes=self._bytes,
            why=self._why,
        )


def _form(matrix: Matrix, info: TensorInfo) -> tuple[str, str]:
    if not isinstance(matrix, Packed):
        name = _FLOAT_NAMES[matrix.onnx_type]
        if info.ggml_type.name not in FLOAT_TYPES:
            return name, "dequantized: no kernel multiplies with it as it is"
        return name, "floats in the file too, multiplied as float32"
    form = f"{matrix.bits} bits, a scale per {matrix.block}"
    why = f"{info.bits_per_weight:.4g} bits per weight in the file, scales included"
    if matrix.offsets is not None:
        form += f", an offset per {matrix.offset_block}"
        why += "; minima become offsets, multiplied with block sums in float32"
    return form, why


@dataclass
class _Distance:
    """The distance between matrices and what they stand for: the largest of a weight, and sums of squares.

    Attributes:
        peak: the largest weight of what they stand for.
    """

    largest: float = 0.0
    peak: float = 0.0
    squares: float = 0.0
    norm: float = 0.0

    def add(self, matrix: Matrix, reference: Values) -> None:
        """Add a matrix, a few rows at a time; NaN counts as infinite."""
        self.peak = max(self.peak, float(np.abs(reference).max()))
        for start in range(0, len(reference), _ROWS):
            rows = slice(start, start + _ROWS)
            with np.errstate(over="ignore", invalid="ignore"):
                difference = np.abs(matrix.rows(rows).values() - reference[rows])
            self.largest = max(self.largest, float(np.nan_to_num(difference, nan=np.inf).max()))
            self.squares += float(np.square(difference, dtype=np.float64).sum())
            self.norm += float(np.square(reference[rows], dtype=np.float64).sum())

    @property
    def relative(self) -> float:
        """‖artifact − reference‖ / ‖reference‖ (Frobenius)."""
        return float(np.sqrt(self.squares / self.norm)) if self.norm else 0.0


def _bytes_of(matrix: Matrix) -> int:
    if not isinstance(matrix, Packed):
        return int(matrix.data.nbytes)
    offsets = 0 if matrix.offsets is None else matrix.offsets.nbytes
    return matrix.codes.size * matrix.bits // 8 + int(matrix.scales.nbytes) + offsets
