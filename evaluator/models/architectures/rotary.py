"""The rotary embedding's frequencies and scale, as a file wants them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from evaluator.models.architectures import architecture_of
from evaluator.models.architectures.decoder import (
    count,
    number,
    optional_number,
    rotary_width,
    sliding_window,
)
from evaluator.models.model_file import ContextBound, ModelFile
from evaluator.support.errors import SourceError

#: Not parameters of the module but buffers; files decide them, so they get slots like parameters.
ROTARY_FREQUENCIES = "rotary_frequencies"
LOCAL_ROTARY_FREQUENCIES = "rotary_frequencies_local"
ROTARY_BUFFERS = (ROTARY_FREQUENCIES, LOCAL_ROTARY_FREQUENCIES)


#: One divisor per frequency: how files of Llama 3.1 and later carry their long-context scaling, and those of
#: Phi-3 theirs, once for contexts up to the original one and once for longer ones.
FREQUENCY_FACTORS = "rope_freqs.weight"
SHORT_FACTORS, LONG_FACTORS = "rope_factors_short.weight", "rope_factors_long.weight"
FACTOR_TENSORS = (FREQUENCY_FACTORS, SHORT_FACTORS, LONG_FACTORS)

_KINDS = ("none", "linear", "yarn", "longrope")
_YARN_SCALE_PER_E_FOLD = 0.1

Values = npt.NDArray[np.float32]


def rotary_frequencies(file: ModelFile, buffer: str = ROTARY_FREQUENCIES) -> Values:
    """Angle per position of each pair of dimensions, float32 [turned dimensions of a head / 2].

    base^(−2i/d), divided by the file's frequency factors and by its scaling factor; YaRN divides only the
    slow ones by the scaling factor. The windowed layers of Gemma 3 have a base of their own and no scaling.

    Args:
        file: the model.
        buffer: which of the graph's frequencies.

    Raises:
        SourceError: the file asks for a scaling that is not known, or its factors do not fit.
    """
    settings = architecture_of(file).config(file)
    width = rotary_width(settings)
    local = buffer == LOCAL_ROTARY_FREQUENCIES
    base = float(settings["rope_local_base_freq" if local else "rope_theta"])
    frequencies = base ** (-np.arange(0, width, 2, dtype=np.float64) / width)
    if local:
        return frequencies.astype(np.float32)
    kind, factor = _scaling(file)
    tensor = SHORT_FACTORS if SHORT_FACTORS in file.tensors else FREQUENCY_FACTORS
    if tensor in file.tensors:
        factors = file.dequantize(tensor)
        if factors.shape != frequencies.shape or not (factors > 0).all():
            raise SourceError(file.path, f"{tensor} does not hold {width // 2} positive factors")
        frequencies /= factors
    kept = _kept_by_yarn(file, width, base) if kind == "yarn" else 0.0
    return (frequencies * (kept + (1 - kept) / factor)).astype(np.float32)


def rotary_scale(file: ModelFile) -> float:
    """What sine and cosine are multiplied by: 1, or more where the context was stretched by YaRN or LongRoPE.

    Raises:
        SourceError: the file asks for a scaling that is not known.
    """
    prefix = f"{file.architecture}.rope.scaling"
    kind, factor = _scaling(file)
    scale = number(file, f"{prefix}.attn_factor", 1.0)
    if kind == "yarn":
        usual = yarn_scale(factor)
        if over_all_dimensions := optional_number(file, f"{prefix}.yarn_log_multiplier"):
            usual /= yarn_scale(factor, over_all_dimensions)
        scale *= number(file, f"{prefix}.yarn_attn_factor", usual)
    return scale


def yarn_scale(factor: float, multiplier: float = 1.0) -> float:
    """What YaRN multiplies sine and cosine by, for a context stretched by `factor`."""
    return 1 + _YARN_SCALE_PER_E_FOLD * multiplier * math.log(max(factor, 1.0))


def yarn_kept(
    width: int, base: float, context: int, turns: tuple[float, float], *, truncate: bool = True
) -> npt.NDArray[np.float64]:
    """Share of each frequency that YaRN leaves as it is, float64 [width / 2]: 1 for the fast, 0 for the slow.

    Between the two bounds the share falls linearly in the index.

    Args:
        width: turned dimensions of a head.
        base: what the frequencies are powers of, above 1.
        context: the original context.
        turns: how many turns within it make a frequency fast, and how few make one slow.
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


def check_context(file: ModelFile, context: int) -> None:
    """Refuse windows for which the model has other frequencies, or another attention, than those used here.

    Raises:
        SourceError: `context` tokens are more than the graph of the model is right for.
    """
    for bound in _bounds(file):
        if context > bound.tokens:
            raise SourceError(
                file.path,
                f"windows of {context} tokens need {bound.setting}; use a context of {bound.tokens} or less",
            )


def _bounds(file: ModelFile) -> Iterator[ContextBound]:
    """Where the model goes on otherwise than its graph does."""
    if file.context_bound:
        yield file.context_bound
    if LONG_FACTORS in file.tensors:
        yield ContextBound(_original_context(file), LONG_FACTORS)
    window = sliding_window(file)
    if window and "sliding_window" not in architecture_of(file).config(file):
        yield ContextBound(window, f"a sliding window, which a {file.architecture} graph has not")


def made_for(file: ModelFile) -> int | None:
    """How many positions a file was made for, its rotary scaling taken into account; None where it does not say.

    Converters write the longer context into `context_length`, or the original one and the factor that stretches it.
    """
    said = file.metadata.get(f"{file.architecture}.context_length")
    if not isinstance(said, int) or said < 1:
        return None
    original = file.metadata.get(f"{file.architecture}.rope.scaling.original_context_length")
    if not isinstance(original, int):
        return said
    return max(said, int(original * _scaling(file)[1]))


def _scaling(file: ModelFile) -> tuple[str, float]:
    """Kind of scaling, and the factor that it divides frequencies by; a factor without a kind is linear.

    Raises:
        SourceError: either is not known.
    """
    prefix = f"{file.architecture}.rope.scaling"
    kind = file.single(f"{prefix}.type", "linear")
    if kind not in _KINDS:
        raise SourceError(file.path, f"rotary scaling {kind!r} is not supported; known: {', '.join(_KINDS)}")
    if kind == "none":
        return kind, 1.0
    if kind == "yarn" and (mixed := number(file, f"{prefix}.yarn_ext_factor", 1.0)) != 1:
        raise SourceError(file.path, f"YaRN with an extrapolation factor of {mixed:g} is not supported")
    old_key = f"{file.architecture}.rope.scale_linear"
    return kind, number(file, f"{prefix}.factor", number(file, old_key, 1.0))


def _original_context(file: ModelFile) -> int:
    prefix = file.architecture
    key = f"{prefix}.rope.scaling.original_context_length"
    return count(file, key) if key in file.metadata else count(file, f"{prefix}.context_length")


def _kept_by_yarn(file: ModelFile, width: int, base: float) -> npt.NDArray[np.float64]:
    """Share of each frequency that the file's YaRN leaves as it is.

    Raises:
        SourceError: the base leaves no dimension faster than another, or a number is not one.
    """
    if base <= 1:
        raise SourceError(file.path, f"YaRN needs frequencies that differ, and a base of {base:g} gives none")
    prefix = f"{file.architecture}.rope.scaling"
    fast, slow = number(file, f"{prefix}.yarn_beta_fast", 32.0), number(file, f"{prefix}.yarn_beta_slow", 1.0)
    return yarn_kept(width, base, _original_context(file), (fast, slow))
