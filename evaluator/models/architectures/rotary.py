"""Frequencies and scale of a model's rotary embedding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from evaluator.models.architectures import architecture_of, described
from evaluator.models.architectures.decoder import (
    count,
    number,
    optional_number,
    rotary_width,
    sliding_window,
)
from evaluator.models.architectures.mixers import Attention
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.yarn import yarn_kept, yarn_scale
from evaluator.models.model_file import ContextBound, ModelFile
from evaluator.support.errors import SourceError

#: Buffers of the graph; their values depend on the file, so they are filled in like parameters.
ROTARY_FREQUENCIES = "rotary_frequencies"
LOCAL_ROTARY_FREQUENCIES = "rotary_frequencies_local"
ROTARY_BUFFERS = (ROTARY_FREQUENCIES, LOCAL_ROTARY_FREQUENCIES)


#: Tensors with a divisor per frequency in files of Phi-3, for contexts up to the original length and for longer ones.
SHORT_FACTORS, LONG_FACTORS = "rope_factors_short.weight", "rope_factors_long.weight"
FACTOR_TENSORS = (FREQUENCY_FACTORS, SHORT_FACTORS, LONG_FACTORS)

_KINDS = ("none", "linear", "yarn", "longrope")
Values = npt.NDArray[np.float32]


def rotary_frequencies(file: ModelFile, buffer: str = ROTARY_FREQUENCIES, *, length: int = 0) -> Values:
    """Return the angle per position of each pair of dimensions, float32 [rotated dimensions of a head / 2].

    It is base^(−2i/d), divided by the file's frequency factors and by its scaling factor; YaRN divides only the
    low frequencies by the scaling factor. The windowed layers of Gemma 3 have their own base and no scaling.

    Args:
        file: the model.
        buffer: the name of the graph's buffer.
        length: tokens of a window; files of Phi-3 have other factors for those beyond the original context.

    Raises:
        SourceError: the file's scaling is not supported, or its factors do not fit.
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
    if needs_long_factors(file, length):
        tensor = LONG_FACTORS
    if tensor in file.tensors:
        factors = file.dequantize(tensor)
        if factors.shape != frequencies.shape or not (factors > 0).all():
            raise SourceError(file.path, f"{tensor} does not hold {width // 2} positive factors")
        frequencies /= factors
    kept = _kept_by_yarn(file, width, base) if kind == "yarn" else 0.0
    return (frequencies * (kept + (1 - kept) / factor)).astype(np.float32)


def rotary_scale(file: ModelFile) -> float:
    """Return the factor of sine and cosine: 1, or more if YaRN or LongRoPE extended the context.

    Raises:
        SourceError: the file's scaling is not supported.
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


def needs_long_factors(file: ModelFile, length: int) -> bool:
    """Return whether windows are longer than the original context of a file with other factors for such ones.

    Raises:
        SourceError: the original context is missing or not a whole number.
    """
    return LONG_FACTORS in file.tensors and length > _original_context(file)


def check_context(file: ModelFile, context: int) -> None:
    """Check that windows are not so long that the model would use other frequencies or another attention.

    Raises:
        SourceError: the graph is not exact for `context` tokens.
    """
    for bound in _bounds(file):
        if context > bound.tokens:
            raise SourceError(
                file.path,
                f"windows of {context} tokens need {bound.setting}; use a context of {bound.tokens} or less",
            )


def _bounds(file: ModelFile) -> Iterator[ContextBound]:
    """Yield the lengths up to which the graph is exact."""
    if file.context_bound:
        yield file.context_bound
    if decoder := described(file):
        mixers = (mixer for layer in decoder.layers for part in layer for mixer in part.mixers)
        chunks = {mixer.chunk for mixer in mixers if isinstance(mixer, Attention) and mixer.chunk}
        for chunk in chunks:
            yield ContextBound(chunk, "attention in chunks, which is not computed")
        return
    window = sliding_window(file)
    if window and "sliding_window" not in architecture_of(file).config(file):
        yield ContextBound(window, f"a sliding window, which a {file.architecture} graph does not have")


def made_for(file: ModelFile) -> int | None:
    """Return the longest context of a model, with its rotary scaling; None if the file does not state it.

    Converters write either the extended context into `context_length`, or the original one and a factor.
    """
    length = file.metadata.get(f"{file.architecture}.context_length")
    if not isinstance(length, int) or length < 1:
        return None
    original = file.metadata.get(f"{file.architecture}.rope.scaling.original_context_length")
    if not isinstance(original, int):
        return length
    return max(length, int(original * _scaling(file)[1]))


def _scaling(file: ModelFile) -> tuple[str, float]:
    """Return the kind of scaling and the divisor of the frequencies; a factor without a kind is linear.

    Raises:
        SourceError: the kind is not supported, or the factor is not a positive number.
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
    """Return the share of each frequency that the file's YaRN keeps.

    Raises:
        SourceError: the base is not above 1, or a setting is not a number.
    """
    if base <= 1:
        raise SourceError(file.path, f"YaRN needs a rotary base above 1, not {base:g}")
    prefix = f"{file.architecture}.rope.scaling"
    fast, slow = number(file, f"{prefix}.yarn_beta_fast", 32.0), number(file, f"{prefix}.yarn_beta_slow", 1.0)
    return yarn_kept(width, base, _original_context(file), (fast, slow))


def beyond_training(file: ModelFile, context: int) -> str | None:
    """Return a notice if windows are longer than the model was made for."""
    longest = made_for(file)
    if longest is None or context <= longest:
        return None
    return (
        f"--context {context} is beyond the {longest:,} tokens that {file.name} was made for: "
        "numbers say little about its use"
    )
