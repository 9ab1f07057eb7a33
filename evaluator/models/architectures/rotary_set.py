"""A set of rotary frequencies: angles per position, and the factor of cosines and sines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluator.models.architectures.yarn import yarn_kept
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError

#: Tensor with a divisor per frequency in files of Llama 3.1 and later.
FREQUENCY_FACTORS = "rope_freqs.weight"

#: Attention nodes rotate only multiples of this number of dimensions.
TOGETHER = 16

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Yarn:
    """YaRN's extension of the context.

    Attributes:
        context: the original context.
        fast: rotations within it, from which a frequency is kept.
        slow: rotations within it, up to which a frequency is divided by the factor.
    """

    context: int
    fast: float = 32.0
    slow: float = 1.0


@dataclass(frozen=True)
class RotarySet:
    """Rotary embedding of queries and keys.

    Attributes:
        width: rotated dimensions of a head.
        base: base of the frequencies.
        factor: what frequencies are divided by.
        yarn: how the factor is limited to low frequencies; None to divide all.
        factors: tensor with a divisor per frequency, None without one.
        padded: whether that tensor may hold more divisors; the first ones count.
        long_factors: the tensor that takes its place in windows longer than `original`.
        original: the original context, 0 if it does not matter.
        scale: factor of cosines and sines.
        interleaved: whether neighbouring dimensions are rotated, and not those half a width apart.
    """

    width: int
    base: float
    factor: float = 1.0
    yarn: Yarn | None = None
    factors: str | None = None
    long_factors: str | None = None
    original: int = 0
    scale: float = 1.0
    interleaved: bool = False
    padded: bool = False

    def frequencies(self, file: ModelFile, length: int) -> Values:
        """Return the angle per position of each pair of dimensions, float32 [width / 2], for windows of `length`.

        Raises:
            SourceError: the file's factors do not fit.
        """
        values = self.base ** (-np.arange(0, self.width, 2, dtype=np.float64) / self.width)
        tensor = self.long_factors if self.long_factors and length > self.original else self.factors
        if tensor:
            divisors = file.dequantize(tensor)
            divisors = divisors[: len(values)] if self.padded else divisors
            if divisors.shape != values.shape or not (divisors > 0).all():
                raise SourceError(
                    file.path, f"{tensor} does not hold {len(values)} positive factors: convert it again"
                )
            values = values / divisors
        kept: float | npt.NDArray[np.float64] = 0.0
        if self.yarn:
            turns = (self.yarn.fast, self.yarn.slow)
            kept = yarn_kept(self.width, self.base, self.yarn.context, turns)
        return np.asarray(values * (kept + (1 - kept) / self.factor), np.float32)
