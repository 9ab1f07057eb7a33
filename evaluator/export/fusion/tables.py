"""Compute the cosines and sines that fused attention looks up."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def rotary_tables(
    frequencies: npt.NDArray[np.float32], positions: int, factor: float = 1.0
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Compute cosines and sines, float32 [positions, frequencies], times `factor`.

    Angles are rounded to float32 before the cosine is taken, as in the exported graph.
    """
    angles = np.outer(np.arange(positions, dtype=np.float32), frequencies.reshape(-1))
    return (np.cos(angles) * np.float32(factor)), (np.sin(angles) * np.float32(factor))
