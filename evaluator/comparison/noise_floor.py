"""Measure the noise floor: the baseline against itself with noise on its weights as large as bf16 rounding.

Publishers round weights to bf16 as a matter of course, so a variant that diverges no more than that counts as equal
to its baseline.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from evaluator.metrics import measure
from evaluator.metrics.token_scores import token_scores
from evaluator.models.dequantize import Indices, Values
from evaluator.models.model_file import ModelFile, RowReader
from evaluator.results.manifest import NoiseFloor
from evaluator.support.stage_clock import current_clock, in_stage
from evaluator.support.threads import in_blocks
from evaluator.texts.windows import spread

#: Enough windows, spread over all texts, for a floor.
_MOST_WINDOWS = 16
_EXPONENT = np.uint32(0x7F800000)
#: Distance between adjacent bf16 numbers, relative to the power of two below them.
_BF16_STEP = np.float32(2**-7)
#: Float32 numbers that numpy makes of 64 random bits, by which its generator can jump ahead.
_FLOATS_PER_DRAW = 2
#: Weights that get their noise at a time: few enough for the processor's cache.
_WEIGHTS_AT_ONCE = 1 << 16

#: Field of the floor → metric column it is taken from.
_COLUMNS = {
    "kld_mean": "kld_mean",
    "kld_se": "kld_se_clustered",
    "kld_p990": "kld_p990",
    "ln_ppl_ratio": "ln_ppl_ratio",
    "ln_ppl_ratio_se": "ln_ppl_ratio_se_clustered",
    "same_top": "same_top",
    "same_top_se": "same_top_se_clustered",
}


@dataclass(frozen=True)
class Bf16Noise(ModelFile):
    """A model with random noise on its matrices, at most half a bf16 step per weight.

    Rounding would not change a model already stored in bf16, so the rounding error is drawn at random instead:
    uniform over one step. Every run draws the same: the tensor's name seeds its numbers, and each row has its own
    part of them, so rows that are read alone are those of the whole tensor.
    """

    original: ModelFile

    @classmethod
    def of(cls, file: ModelFile) -> Bf16Noise:
        """Return the same model with noise."""
        return cls(file.path, file.metadata, file.value_types, file.tensors, file)

    @property
    def files(self) -> tuple[Path, ...]:
        """The original's files."""
        return self.original.files

    def raw(self, name: str) -> npt.NDArray[np.uint8]:
        """Return the original's bytes, without noise."""
        return self.original.raw(name)

    def row_reader(self, name: str) -> RowReader:
        """Return a reader of the original's rows, with noise if they are a matrix's."""
        info, read, clock = self.tensor(name), self.original.row_reader(name), current_clock()
        if len(info.shape) < 2:
            return read

        def read_noisy(start: int, stop: int, out: Values | None = None) -> Values:
            start, stop, _ = slice(start, stop).indices(info.n_rows)
            values = np.empty((stop - start, info.shape[-1]), np.float32) if out is None else out
            read(start, stop, values)
            with in_stage("dequantizing", clock):
                add_bf16_noise(values, _seed(name), start)
            return values

        return read_noisy

    def gathered_rows(self, name: str, indices: Indices) -> Values:
        """Return chosen rows of the original, with their noise if they are a matrix's."""
        values = self.original.gathered_rows(name, indices)
        if len(self.tensor(name).shape) < 2:
            return values
        with in_stage("dequantizing"):
            for position, row in enumerate(indices.tolist()):
                add_bf16_noise(values[position : position + 1], _seed(name), row)
        return values

    def release_pages(self, name: str) -> None:
        """Release the original's pages."""
        self.original.release_pages(name)


def _seed(name: str) -> int:
    return zlib.crc32(name.encode())


def add_bf16_noise(values: Values, seed: int, first_row: int = 0) -> None:
    """Add to each value a uniform error of at most half the distance between the bf16 numbers around it, in place.

    Args:
        values: contiguous float32 [rows, columns], of a tensor whose rows are all as long.
        seed: of the tensor.
        first_row: number of the first of these rows in the tensor.
    """
    columns = values.shape[1]
    draws = -(-columns // _FLOATS_PER_DRAW)

    def add(start: int, stop: int) -> None:
        bits = np.random.PCG64(seed)
        bits.advance((first_row + start) * draws)
        drawn = np.random.Generator(bits).random((stop - start, draws * _FLOATS_PER_DRAW), np.float32)
        unit = drawn[:, :columns] - np.float32(0.5)
        part = values[start:stop]
        magnitude = (part.view(np.uint32) & _EXPONENT).view(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # weights may be non-finite or the largest float32
            part += unit * (magnitude * _BF16_STEP)

    in_blocks(len(values), max(1, _WEIGHTS_AT_ONCE // columns), add)


def floor_windows(n_windows: int) -> Sequence[int]:
    """Return the indices of the windows that the floor is measured on, spread evenly."""
    return list(map(int, spread(n_windows, _MOST_WINDOWS)))


def noise_floor(tokens: pl.DataFrame, baseline: pl.DataFrame) -> NoiseFloor | None:
    """Compute the floor from the token frames of the noisy model and the baseline; None if no token is finite.

    The baseline's frame may hold more windows.
    """
    reference = baseline.join(tokens.select("window").unique(), on="window", maintain_order="left")
    scores, _ = token_scores(tokens, reference, size_bytes=1)
    if not len(scores.nll):
        return None
    columns, _ = measure(scores)
    counts = {"n_tokens": len(scores.nll), "n_windows": len(np.unique(scores.windows))}
    return NoiseFloor.model_validate(
        counts | {name: columns.get(column) for name, column in _COLUMNS.items()}
    )
