"""Join a variant's scored tokens with its baseline's, so that any part of them is summed in milliseconds.

About 70 bytes per token stay in memory. Statistics come from the evaluator's metric families, so a value over some
tokens is defined like the stored value over all of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dashboard.results.selection import TokenFilter
from dashboard.style.names import clean
from evaluator.metrics import TokenScores, measure, quantities
from evaluator.metrics.breakdowns import CONFIDENCE_EDGES, confidence_bins
from evaluator.metrics.token_scores import token_scores

Array = NDArray[np.float64]
_BINS = len(CONFIDENCE_EDGES) - 1
_PLACE = ("window", "position", "token")
_WINDOW_TYPES: dict[str, type[pl.DataType]] = {"window": pl.UInt32, "domain": pl.String}
_OWN_BINS = tuple(f"bin{index}" for index in range(_BINS))


@dataclass(frozen=True)
class TokenParts:
    """The tokens of one variant that are finite in it and in its baseline.

    `window`, `domain` (index into `domains`) and `baseline_bin` (0–4, by the baseline's top probability) are
    int64 [n]. Two variants are comparable token by token if their `fingerprint`, a hash of the tokens, is equal.
    """

    scores: TokenScores
    window: NDArray[np.int64]
    domain: NDArray[np.int64]
    domains: tuple[str, ...]
    baseline_bin: NDArray[np.int64]
    fingerprint: str

    def kept(self, wanted: TokenFilter) -> NDArray[np.bool_]:
        """Return which tokens a filter keeps, bool [n]; empty sets keep all."""
        domains, bins = wanted
        kept: NDArray[np.bool_] = self._allowed(domains)[self.domain] & _kept_bins(bins)[self.baseline_bin]
        return kept

    def _allowed(self, domains: frozenset[str]) -> NDArray[np.bool_]:
        """Return which of `self.domains` a filter keeps."""
        return np.array([not domains or name in domains for name in self.domains], dtype=bool)

    def statistics(self, wanted: TokenFilter) -> dict[str, float | int | None]:
        """Return the metric families' columns over the kept tokens, with `n_tokens` and `n_windows`."""
        kept = self.kept(wanted)
        part = self.scores.subset(kept)
        windows = self.window[kept]  # in order
        changes = int(np.count_nonzero(windows[1:] != windows[:-1])) + bool(windows.size)
        return measure(part)[0] | {"n_tokens": len(part.nll), "n_windows": changes}

    def delta(self, wanted: TokenFilter) -> Array:
        """Return Δ log p in nats of the kept tokens, ascending; empty for a baseline."""
        if self.scores.baseline_nll is None:
            return np.empty(0)
        return np.sort((self.scores.baseline_nll - self.scores.nll)[self.kept(wanted)])

    def windows(self, wanted: TokenFilter) -> pl.DataFrame:
        """Return a row per window with kept tokens: `window`, `domain`, `n` tokens, and sums over them.

        The sums are of the metric families' quantities, such as `nll`, and `bin0`…`bin4`, the tokens in each bin of
        the variant's own confidence. Comparisons with a baseline are null for a baseline.
        """
        rows, sums = self._window_sums(wanted)
        names = [self.domains[index] for index in self._window_domain[rows]]
        frame = pl.DataFrame({"window": self._windows[rows], "domain": names}, schema_overrides=_WINDOW_TYPES)
        return frame.with_columns(self._columns(sums))

    def own_bins(self, wanted: TokenFilter) -> Array:
        """Return the number of tokens in each bin of the variant's own confidence, [5]."""
        counts: Array = self._window_sums(wanted)[1][:, -_BINS:].sum(axis=0)
        return counts

    def window_means(self, column: str, wanted: TokenFilter) -> tuple[NDArray[np.int64], Array, Array] | None:
        """Return the windows with kept tokens, each one's mean of a column of `windows`, and its number of tokens.

        None if the column compares with a baseline and this is one.
        """
        if not self._known.get(column, True):
            return None
        rows, sums = self._window_sums(wanted)
        return self._windows[rows], sums[:, self._summed.index(column)] / sums[:, 0], sums[:, 0]

    def _window_sums(self, wanted: TokenFilter) -> tuple[NDArray[np.bool_], Array]:
        """Return which windows have kept tokens, and their sums."""
        domains, bins = wanted
        sums = self._sums[:, _kept_bins(bins)].sum(axis=1)
        rows = (sums[:, 0] > 0) & self._allowed(domains)[self._window_domain]
        return rows, sums[rows]

    def bins(self, wanted: TokenFilter) -> pl.DataFrame:
        """Return a row per bin of the baseline's confidence: `bin`, `n`, means, and counts `bin0`…`bin4`.

        The metric families' quantities are means over the `n` kept tokens, null without tokens.
        """
        domains, bins = wanted
        sums = self._sums[self._allowed(domains)[self._window_domain]].sum(axis=0)
        sums[~_kept_bins(bins)] = 0
        frame = pl.DataFrame({"bin": range(_BINS)}).with_columns(self._columns(sums))
        count = pl.when(pl.col("n") > 0).then(pl.col("n"))
        return frame.with_columns([pl.col(name) / count for name in self._known])

    def _columns(self, sums: Array) -> list[pl.Series]:
        """Return the last axis of sums as named columns; quantities that a baseline lacks are null."""
        columns = [pl.Series(name, sums[:, index]) for index, name in enumerate(self._summed)]
        nothing = [None] * len(sums)
        return [
            c if self._known.get(c.name, True) else pl.Series(c.name, nothing, pl.Float64) for c in columns
        ]

    @property
    def _known(self) -> dict[str, bool]:
        """The metric families' quantities, and whether they exist here: a baseline has no comparisons."""
        return self._quantities[0]

    @property
    def _summed(self) -> tuple[str, ...]:
        """Names of the last axis of `_sums`: tokens, quantities, own bins."""
        return ("n", *self._known, *_OWN_BINS)

    @property
    def _sums(self) -> Array:
        """Sums per window × bin of the baseline's confidence × quantity in `_summed`."""
        return self._quantities[1]

    @cached_property
    def _windows(self) -> NDArray[np.int64]:
        return np.unique(self.window)

    @cached_property
    def _window_domain(self) -> NDArray[np.int64]:
        """Each window's domain: a window lies in one text."""
        return self.domain[np.searchsorted(self.window, self._windows)]

    @cached_property
    def _quantities(self) -> tuple[dict[str, bool], Array]:
        """`_known` and `_sums`."""
        size = len(self._windows) * _BINS
        cell = np.searchsorted(self._windows, self.window) * _BINS + self.baseline_bin
        values = {name: quantity(self.scores) for name, quantity in quantities().items()}
        zero = np.zeros(len(self.window))
        own = cell * _BINS + confidence_bins(self.scores.top_prob)
        counts = np.bincount(cell, minlength=size).astype(np.float64)
        sums = [
            np.bincount(cell, weights=zero if value is None else value, minlength=size).astype(np.float64)
            for value in values.values()
        ]
        stacked = np.stack([counts, *sums], axis=-1).reshape(-1, _BINS, 1 + len(sums))
        shares = np.bincount(own, minlength=size * _BINS).reshape(-1, _BINS, _BINS)
        summed = np.concatenate([stacked, shares.astype(np.float64)], axis=-1)
        return {name: value is not None for name, value in values.items()}, summed


def _kept_bins(bins: frozenset[int]) -> NDArray[np.bool_]:
    """Return which bins of the baseline's confidence a filter keeps."""
    return np.array([not bins or index in bins for index in range(_BINS)], dtype=bool)


def token_parts(tokens: pl.DataFrame, baseline: pl.DataFrame | None, size_bytes: int) -> TokenParts:
    """Join a variant's token frame with its baseline's; `baseline` is None for a baseline itself.

    Raises:
        ValueError: the two frames differ in their tokens or the order of them.

    """
    if baseline is not None:
        if not baseline.select(_PLACE).equals(tokens.select(_PLACE)):
            raise ValueError("has other tokens than its baseline")
        baseline = baseline.sort("window", maintain_order=True)
    place = tokens.select(_PLACE).to_numpy().tobytes()
    tokens = tokens.sort("window", maintain_order=True)
    scores, _ = token_scores(tokens, baseline, size_bytes)
    assert scores.domains is not None  # token frames have them
    names, domain = np.unique(scores.domains, return_inverse=True)
    return TokenParts(
        # Already kept as indices below.
        scores=replace(scores, domains=None, baseline_top_prob=None),
        window=scores.windows,
        domain=domain,
        domains=tuple(clean(str(name)) for name in names),
        baseline_bin=confidence_bins(scores.reference_top_prob),
        fingerprint=hashlib.sha256(place).hexdigest(),
    )
