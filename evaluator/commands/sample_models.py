"""What the sample is made of: its models, their sizes by method, and how much of them is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluator.texts.sources import BUILT_IN_DOMAINS

METHODS = ("main", "bartowski", "unsloth", "guided")
#: A variant: method and label.
Variant = tuple[str, str]

#: Labels per method in the order of `METHODS`; empty: none. Rows are measured in this order, so that an interrupted
#: sample compares the methods at some sizes instead of one method at all sizes. `guided` spends the bytes of the
#: stock mixture of the same label.
_MIDDLE = (
    ("Q4_K_M", "Q4_K_M", "UD-Q4_K_XL", "Q4_K_M"),
    ("Q5_K_M", "Q5_K_M", "UD-Q5_K_XL", "Q5_K_M"),
    ("Q3_K_M", "Q3_K_M", "UD-Q3_K_XL", "Q3_K_M"),
    ("Q6_K", "Q6_K", "UD-Q6_K_XL", "Q6_K"),
    ("Q2_K", "Q2_K", "UD-Q2_K_XL", "Q2_K"),
)
_SMALL_MIXTURES = (
    ("Q4_K_S", "Q4_K_S", "", "Q4_K_S"),
    ("Q3_K_S", "Q3_K_S", "", "Q3_K_S"),
)
#: The lowest types need rows of 256, which SmolLM2 does not have, and importances, which `main` does not use; Q8_0
#: uses none, so that one of `main` is also one of `bartowski`.
_WHOLE_RANGE = (
    *_MIDDLE,
    ("", "IQ2_XXS", "UD-IQ2_XXS", "IQ2_XXS"),
    *_SMALL_MIXTURES,
    ("Q8_0", "", "UD-Q8_K_XL", ""),
    ("", "", "UD-IQ2_M", ""),
)
#: Recipes for low bits take larger types where rows do not divide.
_UNDIVIDED_ROWS = (
    *_MIDDLE,
    ("Q8_0", "Q8_0", "UD-Q8_K_XL", "Q8_0"),
    *_SMALL_MIXTURES,
    ("Q4_0", "IQ4_XS", "UD-IQ3_XXS", ""),
    ("", "", "UD-IQ2_M", ""),
)


@dataclass(frozen=True)
class SampleModel:
    """A model of the sample.

    Attributes:
        name: its name in files and results.
        published: type of the published file.
        sizes: labels per method, in the order of measuring.
        windows: windows of the evaluation text, and of each built-in one.
        calibration: windows of the calibration text.
        attributed: variants of which the KLD that each matrix causes is measured; it takes minutes to half an hour.
        engine_windows: windows over which an engine's losses are measured; None: all.
        engines: engines in which files are timed, and run for their losses; None: all that this machine has.
        besides: variants of further methods at some of these sizes, measured last.
    """

    name: str
    published: str
    sizes: Sequence[Sequence[str]]
    windows: tuple[int, int]
    calibration: int
    attributed: Sequence[Variant]
    engine_windows: int | None = None
    engines: tuple[str, ...] | None = None
    besides: Sequence[Variant] = ()

    @property
    def variants(self) -> list[Variant]:
        """Its variants, in the order of measuring."""
        rows = [
            (method, label) for row in self.sizes for method, label in zip(METHODS, row, strict=True) if label
        ]
        return [*rows, *self.besides]

    @property
    def methods(self) -> list[str]:
        """The methods of its variants."""
        return list(dict.fromkeys(method for method, _ in self.variants))

    def labels(self, method: str) -> list[str]:
        """Return the labels of a method, in the order of measuring."""
        return [label for other, label in self.variants if other == method]

    def chunks_of(self, domain: str, most: int | None) -> dict[str, int]:
        """Return the windows per domain, `most` at most; `domain` is that of the evaluation text."""
        text, each = (min(number, most or number) for number in self.windows)
        return {domain: text, **dict.fromkeys(BUILT_IN_DOMAINS, each)}


#: By known source. Hours on two quiet cores, from the cost of a window of 512 tokens on 140 GFLOP/s:
#:
#: - SmolLM2, 48 windows: 34 variants × (35 s scored + 16 s in llama.cpp on 12 windows + 45 s timed in both engines)
#:   = 0.9 h, as measured; a variant attributed, 4 minutes and more.
#: - Qwen2.5-Coder, 20 windows (1.34 TFLOP for the layers, 0.24 for both heads: 11.5 s): 34 variants × (20 × 11.5 s
#:   scored + 4 × 18 s in llama.cpp + 60 s timed in it) = 3.4 h; one variant attributed, 198 matrices: 0.4 h, as
#:   measured; importances 0.1 h. In all 4 h.
#:   Making its files comes on top: half the CPU seconds of one thread, on a busy machine, were for a file of one type
#:   7 (Q8_0), 50 (Q6_K), 60 (Q3_K), 190 (Q4_K, Q5_K), 250 (Q2_K), 280 (IQ2_M, IQ2_XXS), 380 (IQ4_XS), 580 (IQ3_XXS):
#:   1.5 to 2 h, with the errors that dynamic recipes measure.
#:
#: Qwen's files are timed in llama.cpp only, in which people run a model of that size on a CPU.
#:
#: A scored token takes 13.3 bytes in its Parquet file: 35 × 12,240 tokens and 35 × 5,100 tokens are 8.1 MB, of the
#: 20 MB that the folder may take.
SAMPLE: Mapping[str, SampleModel] = {
    "qwen2.5-coder-1.5b": SampleModel(
        name="Qwen2.5-Coder-1.5B-Instruct",
        published="Q4_K_M",
        sizes=_WHOLE_RANGE,
        besides=(("guided-k", "Q4_K_M"), ("guided-k", "Q2_K")),
        windows=(6, 2),
        calibration=40,
        attributed=(("main", "Q4_K_M"),),
        engine_windows=4,
        engines=("llama.cpp",),
    ),
    "smollm2-135m": SampleModel(
        name="SmolLM2-135M-Instruct",
        published="Q4_1",
        sizes=_UNDIVIDED_ROWS,
        windows=(20, 4),
        calibration=100,
        attributed=(("main", "Q4_K_M"),),
        engine_windows=12,
    ),
}
