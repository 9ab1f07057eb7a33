"""Write the fidelity receipt: each tensor's form in the artifact, its distance from the file's, and the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from onnx import TensorProto
from pydantic import BaseModel
from rich.table import Table

from evaluator.export.folder import RECEIPT_FILE
from evaluator.export.packing.formats import Packed
from evaluator.export.packing.matrices import Matrix
from evaluator.models.architectures import architecture_of, restored
from evaluator.models.model_file import ModelFile
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


def entry_of(file: ModelFile, tensor: str, matrix: Matrix, baseline: Values | None = None) -> Entry:
    """Compare a tensor's form in the artifact with the file's values.

    Args:
        file: the model.
        tensor: the tensor's name.
        matrix: its form in the artifact.
        baseline: the same matrix of the baseline, in the same order.
    """
    info = file.tensor(tensor)
    reference = restored(architecture_of(file), file, tensor)
    form, why = _form(matrix, info.bits_per_weight)
    max_error, error = _distance(matrix, reference)
    fidelity: Fidelity = "exact"
    if max_error > 0:
        fidelity = "rounded" if max_error <= _ROUNDING * float(np.abs(reference).max()) else "different"
    return Entry(
        tensor=tensor,
        quant_type=info.ggml_type.name,
        form=form,
        fidelity=fidelity,
        max_error=max_error,
        relative_error=error,
        baseline_error=None if baseline is None else _distance(matrix, baseline)[1],
        file_bytes=info.n_bytes,
        artifact_bytes=_bytes_of(matrix),
        why=why,
    )


def _form(matrix: Matrix, bits_in_file: float) -> tuple[str, str]:
    if not isinstance(matrix, Packed):
        name = _FLOAT_NAMES[matrix.onnx_type]
        return name, "floats in the file too, multiplied as float32"
    form = f"{matrix.bits} bits, a scale per {matrix.block}"
    why = f"{bits_in_file:.4g} bits per weight in the file, scales included"
    if matrix.offsets is not None:
        form += f", an offset per {matrix.offset_block}"
        why += "; minima become offsets, multiplied with block sums in float32"
    return form, why


def _distance(matrix: Matrix, reference: Values) -> tuple[float, float]:
    """Return the largest and the relative (Frobenius) distance, a few rows at a time; NaN counts as infinite."""
    largest, squares, norm = 0.0, 0.0, 0.0
    for start in range(0, len(reference), _ROWS):
        rows = slice(start, start + _ROWS)
        with np.errstate(over="ignore", invalid="ignore"):
            difference = np.abs(matrix.rows(rows).values() - reference[rows])
        largest = max(largest, float(np.nan_to_num(difference, nan=np.inf).max()))
        squares += float(np.square(difference, dtype=np.float64).sum())
        norm += float(np.square(reference[rows], dtype=np.float64).sum())
    return largest, float(np.sqrt(squares / norm)) if norm else 0.0


def _bytes_of(matrix: Matrix) -> int:
    if not isinstance(matrix, Packed):
        return int(matrix.data.nbytes)
    offsets = 0 if matrix.offsets is None else matrix.offsets.nbytes
    return matrix.codes.size * matrix.bits // 8 + int(matrix.scales.nbytes) + offsets
