"""The rotary embedding's frequencies, as a file wants them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evaluator.architectures import architecture_of
from evaluator.errors import SourceError
from evaluator.sources.model_file import ModelFile

#: One divisor per frequency: how files of Llama 3.1 and later carry their long-context scaling.
FREQUENCY_FACTORS = "rope_freqs.weight"


def rotary_frequencies(file: ModelFile) -> npt.NDArray[np.float32]:
    """Angle per position of each pair of dimensions, float32 [head dimension / 2].

    base^(−2i/d), divided by the file's frequency factors or by its linear scaling factor, as llama.cpp does.

    Raises:
        SourceError: the file asks for a scaling that is not known, or its factors do not fit.
    """
    settings = architecture_of(file).config(file)
    width = int(settings["head_dim"])
    frequencies = float(settings["rope_theta"]) ** (-np.arange(0, width, 2, dtype=np.float64) / width)
    prefix = f"{file.architecture}.rope.scaling"
    kind = file.metadata.get(f"{prefix}.type", "none")
    if kind == "linear":
        frequencies /= _factor(file, f"{prefix}.factor")
    elif kind != "none":
        raise SourceError(file.path, f"rotary scaling {kind!r} is not supported; known: none, linear")
    if FREQUENCY_FACTORS in file.tensors:
        factors = file.dequantize(FREQUENCY_FACTORS)
        if factors.shape != frequencies.shape or not (factors > 0).all():
            raise SourceError(file.path, f"{FREQUENCY_FACTORS} does not hold {width // 2} positive factors")
        frequencies /= factors
    return frequencies.astype(np.float32)


def _factor(file: ModelFile, key: str) -> float:
    value = file.require(key)
    if not isinstance(value, (int, float)) or not value > 0:
        raise SourceError(file.path, f"metadata key {key} is {value!r}, not a positive number")
    return float(value)
