"""Random bytes of every GGML block type; any bytes are valid if their scales are finite."""

from __future__ import annotations

import gguf
import numpy as np

#: Positions of a block's float16 scales and minima.
_HALVES = {
    "Q4_0": (0,),
    "Q4_1": (0, 2),
    "Q5_0": (0,),
    "Q5_1": (0, 2),
    "Q8_0": (0,),
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
    "Q6_K": (208,),
    "IQ2_XXS": (0,),
    "IQ2_XS": (0,),
    "IQ2_S": (0,),
    "IQ3_XXS": (0,),
    "IQ3_S": (0,),
    "IQ1_S": (0,),
    "IQ4_NL": (0,),
    "IQ4_XS": (0,),
    "TQ1_0": (52,),
    "TQ2_0": (64,),
}


def random_bytes(kind: str, rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Return uint8 [rows, bytes per row]; scales have both signs and are 0.001 to 0.01, other bytes are random."""
    ggml_type = gguf.GGMLQuantizationType[kind]
    block, n_bytes = gguf.GGML_QUANT_SIZES[ggml_type]
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 256, (rows, columns // block, n_bytes), dtype=np.uint8)
    for place in _HALVES.get(kind, ()):
        raw[..., place : place + 2] = _halves(rng, raw.shape[:2])
    if kind == "MXFP4":
        raw[..., 0] = rng.integers(115, 125, raw.shape[:2])
    if kind == "IQ1_M":  # the float16 is in the top nibbles of four words
        for place, nibble in enumerate(np.moveaxis(_nibbles(_halves(rng, raw.shape[:2])), -1, 0)):
            high = raw[..., 49 + 2 * place]
            raw[..., 49 + 2 * place] = (high & 15) | (nibble << 4)
    return raw.reshape(rows, -1)


def _halves(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    values = rng.uniform(0.001, 0.01, shape) * rng.choice([-1, 1], shape)
    return values.astype("<f2")[..., None].view(np.uint8)


def _nibbles(halves: np.ndarray) -> np.ndarray:
    return np.stack([halves & 15, halves >> 4], axis=-1).reshape(*halves.shape[:-1], 4)
