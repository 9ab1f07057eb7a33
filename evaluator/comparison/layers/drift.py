"""Measure how far each layer's output is from the baseline's while a variant is scored.

The residual stream is taken after every layer at a sample of the scored tokens: enough for a mean, and few enough to
keep the baseline's in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from evaluator.metrics.estimation import LARGEST_TOLD_APART
from evaluator.results.schema import Layers, with_schema
from evaluator.runtime.scoring import Body, Watch
from evaluator.texts.windows import Window

_MOST_WINDOWS, _MOST_ROWS = 8, 64

Values = npt.NDArray[np.float32]
Sums = npt.NDArray[np.float64]


def spread(n: int, most: int) -> npt.NDArray[np.int64]:
    """Return at most `most` of the indices below `n`, spread as evenly as possible."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))


def _places(windows: Sequence[Window]) -> tuple[frozenset[int], npt.NDArray[np.int64]]:
    """Return which windows are watched, and at which of their scored tokens."""
    chosen = frozenset(spread(len(windows), _MOST_WINDOWS).tolist())
    return chosen, spread(len(windows[0].targets), _MOST_ROWS)


@dataclass
class BaselineStream:
    """The baseline's residual stream: index of the window → float32 [layers + 1, rows, hidden]."""

    windows: Sequence[Window]
    seen: dict[int, Values] = field(default_factory=dict)

    def watch(self) -> Watch:
        """Return the watch that fills this while the baseline is scored."""
        return Watch(*_places(self.windows), self.seen.__setitem__)

    def complete(self, body: Body) -> None:
        """Run the baseline on the missing windows: all of them if an earlier run scored it."""
        watch = self.watch()
        for index in watch.windows.difference(self.seen):
            watch.take(index, body.observe([self.windows[index]], watch.rows)[1][0])

    @property
    def is_complete(self) -> bool:
        """Whether all watched windows are in."""
        return self.watch().windows <= set(self.seen)


@dataclass
class Drift:
    """A variant's distance from the baseline's stream; sums over tokens, [layers + 1] each."""

    baseline: Mapping[int, Values]
    _error: Sums | float = 0.0
    _size: Sums | float = 0.0
    _cosine: Sums | float = 0.0
    _n_tokens: int = 0

    def watch(self, windows: Sequence[Window]) -> Watch:
        """Return the watch that fills this while the variant is scored on the same windows."""
        return Watch(*_places(windows), self.take)

    def take(self, index: int, stream: Values) -> None:
        """Compare one window's stream, float32 [layers + 1, rows, hidden]."""
        variant, baseline = stream.astype(np.float64), self.baseline[index].astype(np.float64)
        sizes = np.square(baseline).sum(axis=2)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            norms = np.sqrt(np.square(variant).sum(axis=2) * sizes)
            cosine = ((variant * baseline).sum(axis=2) / norms).sum(axis=1)
            self._error = self._error + np.square(variant - baseline).sum(axis=(1, 2))
        self._size, self._cosine = self._size + sizes.sum(axis=1), self._cosine + cosine
        self._n_tokens += stream.shape[1]

    def rows(self, variant_id: str) -> pl.DataFrame:
        """Return rows of `layers.parquet`, role `layer`: relative L2 error and mean cosine of each layer's output.

        Values that are not finite or too large are null; without watched tokens there are no rows.
        """
        if not self._n_tokens or not np.size(self._error):
            return Layers.create_empty()
        with np.errstate(invalid="ignore", divide="ignore"):
            errors = np.sqrt(np.asarray(self._error) / self._size)[1:]
        cosines = np.asarray(self._cosine)[1:] / self._n_tokens
        frame = pl.DataFrame(
            {
                "variant_id": variant_id,
                "layer": np.arange(len(errors)),
                "role": "layer",
                "hidden_error": _finite(errors),
                "cosine": _finite(cosines),
            }
        )
        return with_schema(Layers, frame)


def _finite(values: Sums) -> pl.Series:
    """Replace values that are not finite, or too large to be meaningful in float32, by null."""
    return pl.Series(np.where(np.abs(values) <= LARGEST_TOLD_APART, values, np.nan)).fill_nan(None)
