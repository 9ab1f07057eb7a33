"""Read and write llama.cpp's importance matrices: how much each input channel of each matrix matters.

An entry is, per channel, the mean of the squared activations that enter the matrix. GGUF files store sums and counts
(`NAME.in_sum2`, `NAME.counts`); the older `.dat` files store means times a number of calls.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from evaluator.models.gguf.reader import MAGIC, GGUFFile, open_gguf
from evaluator.support.atomic_files import whole_file
from evaluator.support.errors import RequestError, SourceError

Values = npt.NDArray[np.float32]

_SUMS, _COUNTS = ".in_sum2", ".counts"
_MAX_NAME = 512
#: Squared activations of real models are far below this; ggml's sums of much larger ones overflow.
_LARGEST = 1e20


@dataclass(frozen=True)
class ImportanceMatrix:
    """Importances of a model's matrices.

    Attributes:
        path: the file.
        means: tensor name → mean squared activations, float32 [matrices, channels].
        datasets: names of the texts they were measured on.
        chunks: number of windows they were measured on; 0 if not stated.
        chunk_size: tokens per window; 0 if not stated.
        counts: tensor name with experts → tokens of each, float32 [experts]; older files do not have them.
    """

    path: Path
    means: Mapping[str, Values]
    datasets: tuple[str, ...]
    chunks: int
    chunk_size: int
    counts: Mapping[str, Values] = field(default_factory=dict)


def read_imatrix(path: Path) -> ImportanceMatrix:
    """Read an importance matrix in llama.cpp's GGUF or older format.

    Raises:
        RequestError: the file cannot be read or is not an importance matrix.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
        matrix = _from_gguf(open_gguf(path)) if start == MAGIC else _from_dat(path)
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror or error}") from error
    except SourceError as error:
        raise RequestError(str(error)) from error
    for name, values in matrix.means.items():
        if not np.isfinite(values).all() or (values < 0).any():
            raise RequestError(f"{path}: importances of {name} are negative or not finite")
        if (values > _LARGEST).any():
            raise RequestError(
                f"{path}: importances of {name} are above {_LARGEST:g}, too large to compute with"
            )
    return matrix


def _from_gguf(file: GGUFFile) -> ImportanceMatrix:
    names = [name.removesuffix(_SUMS) for name in file.tensors if name.endswith(_SUMS)]
    if not names:
        raise SourceError(file.path, "is not an importance matrix: it holds no squared activations")
    means, experts = dict[str, Values](), dict[str, Values]()
    for name in names:
        sums, counts = file.dequantize(name + _SUMS), file.dequantize(name + _COUNTS).reshape(-1, 1)
        sums = sums.reshape(len(counts), -1) if sums.size % len(counts) == 0 else sums
        if len(sums) != len(counts):
            raise SourceError(file.path, f"{len(counts)} counts do not fit the sums of {name}")
        if not np.isfinite(counts).all() or (counts < 0).any():
            raise SourceError(file.path, f"counts of {name} are negative or not finite")
        # llama.cpp uses 1 for experts that no token was routed to; if that is all of them, nothing was measured.
        default = 1 if counts.any() else 0
        means[name] = np.where(counts > 0, sums / np.where(counts > 0, counts, 1), default).astype(np.float32)
        if len(counts) > 1:
            experts[name] = counts[:, 0]
    return ImportanceMatrix(
        file.path,
        means,
        tuple(str(item) for item in file.metadata.get(gguf.Keys.IMatrix.DATASETS, ())),
        int(file.metadata.get(gguf.Keys.IMatrix.CHUNK_COUNT, 0)),
        int(file.metadata.get(gguf.Keys.IMatrix.CHUNK_SIZE, 0)),
        experts,
    )


class _Dat:
    """Reads the fields of a `.dat` file in order and raises at its end."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.position = path, path.read_bytes(), 0

    def take(self, n_bytes: int) -> bytes:
        if not 0 <= n_bytes <= len(self.data) - self.position:
            raise SourceError(self.path, "is not an importance matrix, or is truncated")
        start, self.position = self.position, self.position + n_bytes
        return self.data[start : self.position]

    def count(self) -> int:
        return int(struct.unpack("<i", self.take(4))[0])

    def text(self) -> str:
        length = self.count()
        return self.take(length if length <= _MAX_NAME else -1).decode("utf-8", errors="replace")

    @property
    def ended(self) -> bool:
        return self.position == len(self.data)


def _from_dat(path: Path) -> ImportanceMatrix:
    file = _Dat(path)
    means: dict[str, Values] = {}
    for _ in range(file.count()):
        name, calls, size = file.text(), file.count(), file.count()
        values = np.frombuffer(file.take(4 * size), "<f4")
        means[name] = (values / max(calls, 1)).astype(np.float32)[None]
    if not means:
        raise SourceError(path, "is not an importance matrix: it has no entries")
    chunks = 0 if file.ended else file.count()
    datasets = () if file.ended else (file.text(),)
    return ImportanceMatrix(path, means, datasets, chunks, 0)


def write_imatrix(
    target: Path,
    sums: Mapping[str, npt.NDArray[np.float64]],
    tokens: int,
    chunk_size: int,
    datasets: Sequence[str],
    counts: Mapping[str, npt.NDArray[np.integer]] | None = None,
) -> None:
    """Write a GGUF importance matrix that llama.cpp can read, atomically.

    Args:
        target: the new file.
        sums: tensor name → sum of squared activations over all tokens, [channels], or [experts, channels].
        tokens: number of tokens.
        chunk_size: tokens per window.
        datasets: names of the texts.
        counts: tensor name → tokens of each expert, [experts], for tensors with experts.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as partial, closing(gguf.GGUFWriter(str(partial), "")) as writer:
        # No architecture: it is not a model.
        writer.add_type("imatrix")
        writer.add_array(gguf.Keys.IMatrix.DATASETS, list(datasets))
        writer.add_uint32(gguf.Keys.IMatrix.CHUNK_COUNT, tokens // chunk_size)
        writer.add_uint32(gguf.Keys.IMatrix.CHUNK_SIZE, chunk_size)
        for name in sorted(sums):
            writer.add_tensor(name + _SUMS, np.atleast_2d(sums[name].astype(np.float32)))
            counted = (counts or {}).get(name, np.array([tokens]))
            writer.add_tensor(name + _COUNTS, counted.astype(np.float32)[:, None])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
