"""Measure how far each layer's output is from the baseline's while a variant is scored.

The residual stream is taken after every layer at a sample of the scored tokens: enough for a mean, and few enough for
a small file of the baseline's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from evaluator.metrics.estimation import LARGEST_TOLD_APART
from evaluator.results.schema import Layers, with_schema
from evaluator.support.atomic_files import whole_file
from evaluator.support.units import FLOAT_BYTES
from evaluator.texts.windows import Window, spread

_MOST_WINDOWS, _MOST_ROWS, _FEWEST_ROWS = 8, 64, 8
#: Memory for the baseline's sample.
_SAMPLE_BYTES = 128_000_000

#: Smallest probability of an expert in a divergence.
_SMALLEST = 1e-30

Values = npt.NDArray[np.float32]
Sums = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Which of the scored tokens are sampled: indices of windows, and indices among each one's scored tokens."""

    windows: frozenset[int]
    rows: npt.NDArray[np.int64]

    @classmethod
    def of(cls, windows: Sequence[Window], n_layers: int, width: int) -> Sample:
        """Return a sample spread evenly over windows and tokens, smaller for large models.

        Args:
            windows: the windows.
            n_layers: number of layers.
            width: values that are kept of a token in each layer.
        """
        chosen = frozenset(spread(len(windows), _MOST_WINDOWS).tolist())
        row_bytes = FLOAT_BYTES * len(chosen) * (n_layers + 1) * width
        most = min(_MOST_ROWS, max(_FEWEST_ROWS, _SAMPLE_BYTES // row_bytes))
        return cls(chosen, spread(len(windows[0].targets), most))


class BaselineStream:
    """The baseline's residual stream at the sample, before the first layer and after each, in a file.

    Observes the baseline's pass. A file that exists is complete.
    """

    def __init__(self, path: Path, sample: Sample) -> None:
        self.path = path
        self.windows, self.rows = sample.windows, sample.rows
        self._places = {index: place for place, index in enumerate(sorted(sample.windows))}
        self._seen: dict[int, Values] = {}

    def take(self, point: int, index: int, stream: Values) -> None:
        """Keep a window's sample after `point` layers, float32 [rows, width]."""
        if point not in self._seen:
            self._seen[point] = np.zeros((len(self._places), *stream.shape), np.float32)
        self._seen[point][self._places[index]] = stream

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return what was kept so far."""
        return {str(point): values for point, values in self._seen.items()}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Continue from a state."""
        self._seen = {int(point): values.astype(np.float32) for point, values in state.items()}

    def seal(self) -> None:
        """Write the file.

        Raises:
            OSError: the disk is full.
        """
        with whole_file(self.path) as partial, partial.open("wb") as file:
            np.save(file, np.stack([self._seen[point] for point in sorted(self._seen)]))
        self._seen.clear()

    @property
    def is_complete(self) -> bool:
        """Whether the file exists, for the same sample."""
        return self.path.is_file() and self.values().shape[1:3] == (len(self._places), len(self.rows))

    def of(self, point: int, index: int) -> Values:
        """Return a window's sample after `point` layers, float32 [rows, width]."""
        sample: Values = self.values()[point, self._places[index]]
        return sample

    def values(self) -> Values:
        """Return all samples, mapped, float32 [points, windows, rows, width]."""
        values: Values = np.load(self.path, mmap_mode="r")
        return values


class Drift:
    """A variant's distance from the baseline's stream, and from its routing; observes the variant's pass.

    Sums over the sampled tokens are kept per point: squared error, squared size of the baseline, cosine, tokens, and
    of routers the number of tokens with other experts and the sum of divergences.
    """

    def __init__(self, baseline: BaselineStream, hidden: int) -> None:
        """Compare with `baseline`, whose samples begin with the stream, `hidden` values."""
        self._baseline, self._hidden = baseline, hidden
        self.windows, self.rows = baseline.windows, baseline.rows
        self._sums: dict[int, Sums] = {}

    def take(self, point: int, index: int, stream: Values) -> None:
        """Compare a window's sample after `point` layers, float32 [rows, width]."""
        both = (stream.astype(np.float64), self._baseline.of(point, index).astype(np.float64))
        variant, baseline = (values[:, : self._hidden] for values in both)
        routing = _routing_sums(*(values[:, self._hidden :] for values in both))
        sizes = np.square(baseline).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            norms = np.sqrt(np.square(variant).sum(axis=1) * sizes)
            cosine = ((variant * baseline).sum(axis=1) / norms).sum()
            error = np.square(variant - baseline).sum()
        added = np.array([error, sizes.sum(), cosine, len(stream), *routing])
        self._sums[point] = self._sums[point] + added if point in self._sums else added

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the sums so far."""
        return {str(point): sums for point, sums in self._sums.items()}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Continue from a state."""
        self._sums = {int(point): sums.astype(np.float64) for point, sums in state.items()}

    def layer_rows(self, variant_id: str) -> pl.DataFrame:
        """Return rows of `layers.parquet`, role `layer`: relative L2 error and mean cosine of each layer's output.

        Values that are not finite or too large are null; without watched tokens there are no rows.
        """
        layers = [self._sums[point] for point in sorted(self._sums) if point > 0]
        if not layers:
            return Layers.create_empty()
        squared, sizes, cosine, n_tokens, changed, divergence = np.stack(layers, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            errors = np.sqrt(squared / sizes)
        cosines = cosine / n_tokens
        frame = pl.DataFrame(
            {
                "variant_id": variant_id,
                "layer": np.arange(len(errors)),
                "role": "layer",
                "hidden_error": _finite(errors),
                "cosine": _finite(cosines),
                "routing_changed": _finite(changed / n_tokens),
                "routing_kld": _finite(divergence / n_tokens),
            }
        )
        return with_schema(Layers, frame)


def _routing_sums(variant: Sums, baseline: Sums) -> tuple[float, float]:
    """Return the number of tokens that chose other experts, and the sum of KL(baseline ‖ variant) in nats.

    NaN in layers without experts.

    Args:
        variant: the distribution over experts and the chosen ones, float64 [tokens, 2 · experts].
        baseline: the same of the baseline.
    """
    if not variant.shape[1] or np.isnan(baseline[:, 0]).all():
        return math.nan, math.nan
    (p, chosen), (q, others) = (np.split(values, 2, axis=1) for values in (baseline, variant))
    with np.errstate(invalid="ignore", divide="ignore"):
        divergences = np.where(p > 0, p * np.log(p / np.maximum(q, _SMALLEST)), 0).sum(axis=1)
    return float((chosen != others).any(axis=1).sum()), float(divergences.sum())


def _finite(values: Sums) -> pl.Series:
    """Replace values that are not finite, or too large to be meaningful in float32, by null."""
    return pl.Series(np.where(np.abs(values) <= LARGEST_TOLD_APART, values, np.nan)).fill_nan(None)
