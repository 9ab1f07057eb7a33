"""The noise floor: the baseline against itself, its weights moved by as much as rounding to bf16 moves weights.

Rounding to bf16 is what publishers do without a second thought. A variant that diverges no more than that cannot
be told from its baseline.
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

#: So many windows, spread over all texts, are enough for a floor.
_MOST_WINDOWS = 16
_EXPONENT = np.uint32(0x7F800000)
#: Distance between neighbouring bf16 numbers, relative to the power of two below them.
_BF16_STEP = np.float32(2**-7)

#: Fields of the floor and the metric columns that they are.
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
    """A model whose matrices are moved at random, each weight by at most half a step of bf16.

    Rounding would do nothing to a model that is stored in bf16 already, so the error of rounding is drawn instead:
    uniform over one step, the same for the same tensor in every run.
    """

    original: ModelFile

    @classmethod
    def of(cls, file: ModelFile) -> Bf16Noise:
        """The same model with noise."""
        return cls(file.path, file.metadata, file.value_types, file.tensors, file)

    @property
    def files(self) -> tuple[Path, ...]:
        """The original's files."""
        return self.original.files

    def raw(self, name: str) -> npt.NDArray[np.uint8]:
        """The original's bytes, which hold no noise."""
        return self.original.raw(name)

    def dequantize(self, name: str) -> Values:
        """The original's values, and noise on them if they are a matrix."""
        values = self.original.dequantize(name)
        return values if values.ndim < 2 else with_bf16_noise(values, zlib.crc32(name.encode()))


def with_bf16_noise(values: Values, seed: int) -> Values:
    """Each value plus a uniform error of at most half the distance between the bf16 numbers around it."""
    magnitude = (values.view(np.uint32) & _EXPONENT).view(np.float32)
    unit = np.random.default_rng(seed).random(values.shape, np.float32) - np.float32(0.5)
    with np.errstate(over="ignore", invalid="ignore"):  # of weights that are not finite, or just so
        noisy: Values = values + unit * (magnitude * _BF16_STEP)
    return noisy


def floor_windows(n_windows: int) -> Sequence[int]:
    """Indices of the windows that the floor is measured on, spread evenly."""
    return sorted(set(np.linspace(0, n_windows - 1, _MOST_WINDOWS).round().astype(int).tolist()))


def noise_floor(tokens: pl.DataFrame, baseline: pl.DataFrame) -> NoiseFloor | None:
    """The floor from the token frames of the model with noise and of the baseline; None if nothing is finite.

    The baseline's may hold more windows.
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
