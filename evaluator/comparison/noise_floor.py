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
from evaluator.models.model_file import ModelFile
from evaluator.results.manifest import NoiseFloor

#: Enough windows, spread over all texts, for a floor.
_MOST_WINDOWS = 16
_EXPONENT = np.uint32(0x7F800000)
#: Distance between adjacent bf16 numbers, relative to the power of two below them.
_BF16_STEP = np.float32(2**-7)

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

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Bf16Noise(ModelFile):
    """A model with random noise on its matrices, at most half a bf16 step per weight.

    Rounding would not change a model already stored in bf16, so the rounding error is drawn at random instead:
    uniform over one step, seeded by the tensor's name so that every run draws the same.
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

    def dequantize(self, name: str) -> Values:
        """Return the original's values, with noise if they are a matrix."""
        values = self.original.dequantize(name)
        return values if values.ndim < 2 else with_bf16_noise(values, zlib.crc32(name.encode()))

    def matrix(self, name: str, index: int) -> Values:
        """Return the original's matrix with noise."""
        return with_bf16_noise(self.original.matrix(name, index), zlib.crc32(f"{name} {index}".encode()))


def with_bf16_noise(values: Values, seed: int) -> Values:
    """Add to each value a uniform error of at most half the distance between the bf16 numbers around it."""
    magnitude = (values.view(np.uint32) & _EXPONENT).view(np.float32)
    unit = np.random.default_rng(seed).random(values.shape, np.float32) - np.float32(0.5)
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # weights may be non-finite or near the largest float32
        noisy: Values = values + unit * (magnitude * _BF16_STEP)
    return noisy


def floor_windows(n_windows: int) -> Sequence[int]:
    """Return the indices of the windows that the floor is measured on, spread evenly."""
    return sorted(set(np.linspace(0, n_windows - 1, _MOST_WINDOWS).round().astype(int).tolist()))


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
