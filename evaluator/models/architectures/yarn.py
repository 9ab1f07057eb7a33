"""YaRN: how a longer context changes rotary frequencies, and the factor of cosines and sines."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

_SCALE_PER_E_FOLD = 0.1


def yarn_scale(factor: float, multiplier: float = 1.0) -> float:
    """Return YaRN's factor of sine and cosine for a context extended by `factor`."""
    return 1 + _SCALE_PER_E_FOLD * multiplier * math.log(max(factor, 1.0))


def yarn_kept(
    width: int, base: float, context: int, turns: tuple[float, float], *, truncate: bool = True
) -> npt.NDArray[np.float64]:
    """Return the share of each frequency that YaRN keeps, float64 [width / 2]: 1 for high, 0 for low ones.

    Between the two bounds the share falls linearly in the index.

    Args:
        width: rotated dimensions of a head.
        base: base of the frequencies, above 1.
        context: the original context.
        turns: rotations within the context, from which a frequency is high, and up to which it is low.
        truncate: whether the bounds are rounded to whole indices.
    """

    def index(turned: float) -> float:
        return width * math.log(context / (turned * 2 * math.pi)) / (2 * math.log(base))

    low, high = map(index, turns)
    if truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, width - 1)
    ramp = (np.arange(width // 2) - low) / max(high - low, 0.001)
    kept: npt.NDArray[np.float64] = 1 - np.clip(ramp, 0, 1)
    return kept
