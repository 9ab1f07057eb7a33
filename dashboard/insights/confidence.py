"""Compute shares of tokens per bin of confidence: the probability of the most likely next token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import polars as pl

from dashboard.insights.comparison import baseline_id
from dashboard.insights.picks import Telling
from dashboard.results.contrasts import Term, contrast
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.results.statistics import Estimate
from dashboard.style import formats
from evaluator.metrics.breakdowns import CONFIDENCE_EDGES

BINS = len(CONFIDENCE_EDGES) - 1
SURE = BINS - 1
_WHO = ("variant_id", "method", "quant")


@dataclass(frozen=True)
class Shares:
    """A variant's shares of its `n` scored tokens per bin."""

    row: Row
    values: tuple[float, ...]
    n: int

    @property
    def entropy(self) -> float:
        """Entropy of the shares in nats: ln 5 if all are equal."""
        return -sum(share * math.log(share) for share in self.values if share > 0)


def bin_names() -> list[str]:
    """Return the names of the bins: `0–0.25` and so on."""
    return [f"{low:g}–{high:g}" for low, high in pairwise(CONFIDENCE_EDGES)]


def shares(scope: Scope, row: Row) -> Shares | None:
    """Compute the shares of a variant or a baseline; None without its token file."""
    parts = scope.results.parts(str(row["variant_id"]))
    if parts is None:
        return None
    counts = parts.own_bins(scope.selection.token_filter).tolist()
    total = sum(counts)
    return Shares(row, tuple(count / total for count in counts), round(total)) if total else None


def tells_sure(scope: Scope) -> Telling:
    """Tell a variant's share of high-confidence tokens."""

    def share(row: Row) -> str:
        own = shares(scope, row)
        return formats.percent(own.values[SURE]) if own is not None else ""

    return Telling("tokens over 0.95", share)


def entropy_gap(scope: Scope, first: Shares, second: Shares) -> Estimate | None:
    """Return the entropy of `first` minus that of `second`, paired over tokens, error clustered by window.

    To first order entropy changes by −ln p of a bin per change of its share p (delta method). None without the token
    files of both.
    """
    terms: list[Term] = []
    for side, sign in ((first, 1.0), (second, -1.0)):
        parts = scope.results.parts(str(side.row["variant_id"]))
        if parts is None:
            return None
        held = [(index, share) for index, share in enumerate(side.values) if share > 0]
        terms += [(parts, f"bin{index}", -sign * math.log(share)) for index, share in held]
    change = contrast(terms, scope.selection.token_filter)
    return Estimate(first.entropy - second.entropy, change.se, change.freedom) if change is not None else None


def shift(scope: Scope, row: Row, index: int = SURE) -> Estimate | None:
    """Return the share of a bin in the variant minus in its baseline, paired, error clustered by window."""
    return scope.paired(str(row["variant_id"]), baseline_id(scope.results, row), f"bin{index}")


def moved(scope: Scope, rows: list[Row], index: int = SURE) -> list[tuple[Row, Estimate]]:
    """Return the `shift` of every row that has token files."""
    pairs = [(row, shift(scope, row, index)) for row in rows]
    return [(row, change) for row, change in pairs if change is not None]


@dataclass(frozen=True)
class Change:
    """A variant's shares of tokens, and how the share of each bin differs from the baseline's (of 1, paired)."""

    own: Shares
    bins: tuple[Estimate, ...]

    @property
    def row(self) -> Row:
        """The variant."""
        return self.own.row


def changes(scope: Scope, rows: Sequence[Row]) -> list[Change]:
    """Return the change of every bin's share for each row that has token files."""
    found = []
    for row in rows:
        own = shares(scope, row)
        estimates = [shift(scope, row, index) for index in range(BINS)] if own is not None else []
        known = tuple(estimate for estimate in estimates if estimate is not None)
        if own is not None and len(known) == BINS:
            found.append(Change(own, known))
    return found


def change_frame(scope: Scope) -> pl.DataFrame:
    """Return the `changes` of all selected variants, a row per bin; shares are of 1.

    `half_width` is that of the 95 % interval of `change`, null if the error was not measured.
    """
    lines = [
        (
            *(change.row[name] for name in _WHO),
            *(name, share, share - estimate.value, estimate.value),
            estimate.half if estimate.has_error else None,
        )
        for change in changes(scope, scope.rows)
        for name, share, estimate in zip(bin_names(), change.own.values, change.bins, strict=True)
    ]
    numbers = dict.fromkeys(("share", "baseline_share", "change", "half_width"), pl.Float64)
    schema = {**dict.fromkeys((*_WHO, "top_prob"), pl.String), **numbers}
    return pl.DataFrame(lines, schema=schema, orient="row")


def bins_told(selection: Selection) -> list[int]:
    """Return the baseline's bins that statements about kept tokens cover: the filtered ones, else the highest."""
    return sorted(selection.bins) or [SURE]


def kept(scope: Scope, rows: Sequence[Row]) -> list[tuple[Row, Estimate]]:
    """Return which share of the baseline's tokens in `bins_told` is still there in each row, the least first.

    Errors are clustered by window. Rows without token files, or without such tokens, are left out.
    """
    bins = bins_told(scope.selection)
    wanted = scope.narrowed(bins=frozenset(bins)).selection.token_filter
    found = []
    for row in rows:
        parts = scope.results.parts(str(row["variant_id"]))
        share = contrast([(parts, f"bin{index}", 1.0) for index in bins], wanted) if parts else None
        if share is not None:
            found.append((row, share))
    return sorted(found, key=lambda item: (item[1].value, item[0]["variant_id"]))


def ends_of_kept(scope: Scope, rows: Sequence[Row]) -> list[tuple[Row, Estimate]]:
    """Return the rows that keep the least and the most; one entry if that is the same row, none without tokens."""
    known = kept(scope, rows)
    return known if len(known) < 2 else [known[0], known[-1]]
