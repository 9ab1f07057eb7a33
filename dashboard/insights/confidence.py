"""Compute shares of tokens per bin of confidence: the probability of the most likely next token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from dashboard.insights.comparison import baseline_id
from dashboard.insights.picks import Telling
from dashboard.results.contrasts import Term, contrast
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.results.statistics import Estimate
from dashboard.style import formats
from evaluator.metrics.breakdowns import CONFIDENCE_EDGES

BINS = len(CONFIDENCE_EDGES) - 1
SURE = BINS - 1


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


def kept_sure(scope: Scope, rows: Sequence[Row]) -> list[tuple[Row, float]]:
    """Return the rows that keep the most and the least of the baseline's high-confidence tokens, with those shares.

    One entry if that is the same row, none without such tokens.
    """
    kept = []
    for row in rows:
        bins = scope.bins(str(row["variant_id"]))
        for line in bins.to_dicts() if bins is not None else ():
            if line["bin"] == SURE and line["n"]:
                kept.append((row, line[f"bin{SURE}"] / line["n"]))
    if not kept:
        return []
    most, least = max(kept, key=lambda item: item[1]), min(kept, key=lambda item: item[1])
    return [most] if most[0] is least[0] else [most, least]


def of_the_sure(scope: Scope, rows: Sequence[Row]) -> str:
    """Say which share of the baseline's high-confidence tokens the drawn variants keep."""
    kept = kept_sure(scope, rows)
    if not kept:
        return "The baseline has no high-confidence tokens (top probability over 0.95) here"
    names = [f"{row['label']} keeps {formats.percent(share)}" for row, share in kept[:1]]
    names += [f"{row['label']} {formats.percent(share)}" for row, share in kept[1:]]
    return f"Of the baseline's high-confidence tokens, {' and '.join(names)}"
