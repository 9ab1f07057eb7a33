"""Compare two variants over the same tokens, with a bootstrap over windows.

Tokens of a window are not independent, so windows are resampled, not tokens. The module imports only numpy and
polars, because the dashboard uses it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from evaluator.metrics.estimation import Z95, student

RESAMPLES = 2000
#: Metrics that pairs are compared by: mean nll and mean KLD, in nats, lower is better.
PAIR_METRICS = ("ln_ppl", "kld")
VERDICTS = ("better", "worse", "tied")
#: Metric → the token column that it averages.
TOKEN_COLUMNS = dict(zip(PAIR_METRICS, ("nll", "kld"), strict=True))

_SEED = 20260101
_TAIL = 0.025

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """How `a` compares with `b`: the difference a − b in nats per token, lower is better.

    The interval covers 95 % of the resamples, widened by the ratio of Student's t to the normal quantile; with
    fewer than two windows there is neither interval nor verdict. `p_better` is the share of resamples, equally
    widened, in which `a` is better; a tie counts half. Windows with a non-finite value in either are excluded.
    """

    metric: str
    difference: float
    ci_low: float | None
    ci_high: float | None
    p_better: float | None
    n_windows: int
    n_tokens: int

    @property
    def verdict(self) -> str | None:
        """`better`, `worse`, or `tied` if the 95 % interval contains 0."""
        if self.ci_low is None or self.ci_high is None:
            return None
        if self.ci_low <= 0 <= self.ci_high:
            return "tied"
        return "better" if self.ci_high < 0 else "worse"


class Windows:
    """The windows of a token frame: `tokens` is the number of tokens in each, float64 [w]."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._keys = frame.select("window", "position", "token")
        labels, first, self._members, counts = np.unique(
            frame["window"].to_numpy(), return_index=True, return_inverse=True, return_counts=True
        )
        self.tokens: Floats = counts.astype(np.float64)
        domains = frame["domain"].cast(pl.String).to_numpy()[first]
        strata = np.unique(domains, return_inverse=True)[1]
        # A stratum of one window has no variance; in that case the domains are not used as strata.
        self._strata = strata if np.bincount(strata).min() > 1 else np.zeros_like(strata)
        self._n_windows = len(labels)

    def widening(self, inside: npt.NDArray[np.bool_]) -> float:
        """Return the factor that widens resamples because few windows give an uncertain error.

        Args:
            inside: the windows in use, bool [w]; there is always at least one degree of freedom.
        """
        strata = self._strata[inside]
        return student(max(1, len(strata) - len(np.unique(strata)))) / Z95

    def sums(self, frame: pl.DataFrame, column: str) -> Floats:
        """Return the sum of `column` over each window, float64 [w]; NaN if one of the values is not finite.

        Raises:
            ValueError: the frame does not hold the same tokens.
        """
        if not frame.select(self._keys.columns).equals(self._keys):
            raise ValueError("the token frames do not hold the same tokens in the same order")
        values = frame[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        sums: Floats = np.bincount(self._members, weights=values, minlength=self._n_windows).astype(
            np.float64
        )
        return sums

    def resampled(self) -> Floats | None:
        """Return the weight of each window in each resample, float64 [resamples, w]; None for a single window.

        Domains are strata, because the texts are chosen, not drawn. In a stratum of n windows n − 1 are drawn and
        weighted n/(n − 1); otherwise few windows would understate the error (Rao & Wu 1988, "Resampling Inference
        With Complex Survey Data"). The seed is fixed, so the same windows give the same resamples.
        """
        if self._n_windows < 2:
            return None
        generator = np.random.default_rng(_SEED)
        weights = np.empty((RESAMPLES, self._n_windows))
        for stratum in np.unique(self._strata):
            (inside,) = np.nonzero(self._strata == stratum)
            n = len(inside)
            drawn = generator.multinomial(n - 1, np.full(n, 1 / n), RESAMPLES)
            weights[:, inside] = drawn * (n / (n - 1))
        return weights


def compare(a: pl.DataFrame, b: pl.DataFrame, metric: str) -> Comparison | None:
    """Compare two variants by their token frames; return None if no window is finite in both.

    Raises:
        ValueError: the frames do not hold the same tokens.
    """
    windows = Windows(a)
    first, second = (windows.sums(frame, TOKEN_COLUMNS[metric]) for frame in (a, b))
    return next(_Resampling(windows).against(metric, first, second[None]))


def all_pairs(variants: Iterable[tuple[str, pl.DataFrame]]) -> list[dict[str, object]]:
    """Compare every pair of variants (identifier, token frame), in the given order; return rows of `Pairs`.

    Raises:
        ValueError: the frames do not hold the same tokens.
    """
    names: list[str] = []
    sums: dict[str, list[Floats]] = {metric: [] for metric in TOKEN_COLUMNS}
    windows: Windows | None = None
    for name, frame in variants:
        windows = windows or Windows(frame)
        names.append(name)
        for metric, column in TOKEN_COLUMNS.items():
            sums[metric].append(windows.sums(frame, column))
    rows: list[dict[str, object]] = []
    if windows is not None:
        resampling = _Resampling(windows)
        for metric, values in sums.items():
            stacked = np.array(values)
            for index, name in enumerate(names):
                compared = resampling.against(metric, stacked[index], stacked[index + 1 :])
                rows += (
                    {"a": name, "b": other, **vars(comparison), "verdict": comparison.verdict}
                    for other, comparison in zip(names[index + 1 :], compared, strict=True)
                    if comparison is not None
                )
    return rows


def between(pairs: pl.DataFrame, a: str, b: str, metric: str) -> dict[str, Any] | None:
    """Return the row of a `Pairs` frame that compares `a` with `b`; if the frame has b with a, swap it."""
    of_metric = pairs.filter(pl.col("metric") == metric)
    for row in of_metric.filter(pl.col("a") == a, pl.col("b") == b).iter_rows(named=True):
        return row
    for row in of_metric.filter(pl.col("a") == b, pl.col("b") == a).iter_rows(named=True):
        return _swapped(row)
    return None


def _swapped(row: dict[str, Any]) -> dict[str, Any]:
    low, high, p_better = (row[name] for name in ("ci_low", "ci_high", "p_better"))
    return row | {
        "a": row["b"],
        "b": row["a"],
        "difference": -row["difference"],
        "ci_low": None if high is None else -high,
        "ci_high": None if low is None else -low,
        "p_better": None if p_better is None else 1 - p_better,
        "verdict": {"better": "worse", "worse": "better"}.get(row["verdict"], row["verdict"]),
    }


class _Resampling:
    """The resamples of a set of windows, drawn once for all pairs."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._tokens = windows.tokens
        self._weights = windows.resampled()

    def against(self, metric: str, first: Floats, others: Floats) -> Iterator[Comparison | None]:
        """Compare `first`, window sums [w], with each row of `others`, [n, w]."""
        differences = first - others
        finite = np.isfinite(differences)
        differences = np.where(finite, differences, 0.0)
        counts = np.where(finite, self._tokens, 0.0)
        resampled = None
        if self._weights is not None:
            with np.errstate(invalid="ignore"):  # 0/0 if a resample holds none of a pair's windows
                resampled = (self._weights @ differences.T) / (self._weights @ counts.T)
        for index, inside in enumerate(finite):
            n_windows, n_tokens = int(inside.sum()), int(counts[index].sum())
            if n_windows == 0:
                yield None
                continue
            mean = float(differences[index].sum() / n_tokens)
            bounds: tuple[float | None, float | None, float | None] = (None, None, None)
            if resampled is not None and n_windows > 1:
                bounds = _bounds(mean, resampled[:, index], self._windows.widening(inside))
            yield Comparison(metric, mean, *bounds, n_windows, n_tokens)


def _bounds(mean: float, resampled: Floats, widening: float) -> tuple[float, float, float]:
    """Return the 95 % interval of the widened resamples, and the share of them that is below 0."""
    values = mean + widening * (resampled[np.isfinite(resampled)] - mean)
    low, high = np.quantile(values, (_TAIL, 1 - _TAIL))
    return float(low), float(high), float(np.mean(values < 0) + np.mean(values == 0) / 2)
