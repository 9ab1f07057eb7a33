"""Find files that look broken: a matrix that is not the baseline's, or a loss far above that of similar files.

Rankings and recommendations leave broken files out (`sound`), and every page that shows such a file warns first
(`warnings`). Faults are found over all tokens, whatever the filters.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import polars as pl

from dashboard.insights import Insight
from dashboard.insights.comparison import combine
from dashboard.insights.noise import least_divergence
from dashboard.results.results import Results
from dashboard.results.rows import Row, complete, one_place
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING
from dashboard.style import formats

#: From this relative weight error a matrix is not the baseline's: zeros have 1, unrelated values 1.41.
FOREIGN = 0.9
_ZEROS = (0.99, 1.01)
#: A matrix is odd if its error is this many times its type's usual one, and at least `_LEAST_ERROR`.
_ODD, _LEAST_ERROR = 3.0, 0.01
#: A loss is excessive if it is this many times that of similar files, and this many nats above it.
_EXCESS, _LEAST_NATS = 5.0, 0.01
#: Files of one type are similar if their bits differ by at most this share; others if bits and size do.
_SAME_TYPE, _SAME_FILE = 0.05, 0.01
_MOST_NAMED = 3
_ADVICE = (
    "Excluded from rankings, claims and recommendations. Compare its checksum with the publisher's and download it "
    "again"
)


@dataclass(frozen=True)
class Matrix:
    """A matrix with an unusual error: its place, its relative weight error, and its type's usual one."""

    layer: int
    role: str
    quant_type: str
    error: float
    usual: float

    @property
    def foreign(self) -> bool:
        """Whether this cannot be the baseline's matrix."""
        return self.error >= FOREIGN

    @property
    def words(self) -> str:
        """The problem in words."""
        place = f"{self.role} of layer {self.layer}" if self.layer >= 0 else self.role
        problem = "is far from the baseline's"
        if self.foreign:
            zeros = _ZEROS[0] <= self.error <= _ZEROS[1]
            problem = "holds only zeros" if zeros else "does not hold the baseline's weights"
        usual = f"{self.quant_type} usually {formats.number(self.usual, 2)}"
        return f"{place} {problem} (relative error {formats.number(self.error)}, {usual})"


@dataclass(frozen=True)
class Excess:
    """An excessive loss: the file it was compared with, and how that file is similar."""

    against: Row
    relation: str


@dataclass(frozen=True)
class Fault:
    """What is wrong with one file: its odd matrices, worst first, and its excessive loss."""

    row: Row
    matrices: tuple[Matrix, ...] = ()
    excess: Excess | None = None

    @property
    def broken(self) -> bool:
        """Whether the file should not be run; an odd matrix alone is only noted."""
        return self.excess is not None or any(matrix.foreign for matrix in self.matrices)

    @property
    def reason(self) -> str:
        """The problems in words."""
        parts = []
        if self.excess is not None:
            mine, theirs = self.row["kld_mean"], self.excess.against["kld_mean"]
            label = self.excess.against["label"]
            times = (
                f"it loses {formats.number(mine / theirs, 2)} × as much as {label}, {self.excess.relation}"
            )
            parts.append(f"{times} (KLD {formats.number(mine)} against {formats.number(theirs)} nats)")
        if self.matrices:
            count = len(self.matrices)
            more = (
                f", and {count - 1} more matrices like it" if count > 2 else ", and one more matrix like it"
            )
            parts.append(f"{self.matrices[0].words}{more if count > 1 else ''}")
        return "; ".join(parts)

    @property
    def insight(self) -> Insight:
        """The warning about the file."""
        look = "looks broken" if self.broken else "has an unusual matrix"
        rule = f"flagged: matrices from {_ODD:g} × their type's median error"
        rule += f", and losses from {_EXCESS:g} × the median of similar files" if self.excess else ""
        detail = f"{_ADVICE}; {rule}" if self.broken else rule
        return Insight(f"{self.row['label']} {look}: {self.reason}.", "caution", detail)


def faults(results: Results) -> dict[str, Fault]:
    """Return the faults of files in the folder by variant id (cached)."""
    return results.memoized("faults", lambda: _find(results))


def broken_files(results: Results) -> dict[str, Fault]:
    """Return the faults of files that should not be run, by variant id."""
    return {name: fault for name, fault in faults(results).items() if fault.broken}


def sound(results: Results, rows: Sequence[Row]) -> list[Row]:
    """Return the rows without files that look broken."""
    broken = broken_files(results)
    return [row for row in rows if row["variant_id"] not in broken]


def warnings(scope: Scope) -> list[Insight]:
    """Say which selected files look broken, and which are the same file under two names."""
    shown = set(scope.frame["variant_id"].to_list())
    flagged = [fault for name, fault in faults(scope.results).items() if name in shown]
    ordered = sorted(flagged, key=lambda fault: (not fault.broken, str(fault.row["label"])))
    insights = [fault.insight for fault in ordered[:_MOST_NAMED]]
    if len(ordered) > _MOST_NAMED:
        names = [str(fault.row["label"]) for fault in ordered[_MOST_NAMED:]]
        insights.append(Insight(f"Also flagged: {formats.listing(names, 8)}.", "caution"))
    return [*insights, *map(_same_file, _alike(_selected(scope.results, shown), "sha256"))]


def same_weights(scope: Scope) -> list[Insight]:
    """Name the selected files, of one model on one device, that hold the same weights although their bytes differ."""
    shown = {str(row["variant_id"]) for row in one_place(scope.rows)}
    groups = _alike(_selected(scope.results, shown), "bits_per_weight", "ppl", "kld_mean", "kld_max")
    detail = "bits, perplexity, mean and largest KLD are equal to the last digit"
    return [
        Insight(f"{_names(group)} hold the same weights: they give the same probabilities.", "tie", detail)
        for group in groups
        if len({row["sha256"] for row in group}) > 1
    ]


def _find(results: Results) -> dict[str, Fault]:
    matrices = _matrices(results)
    faults_by_id = {}
    rows = sorted(results.measured.to_dicts(), key=_place)
    for _, part in groupby(rows, key=_place):
        here = list(part)
        excesses = _excesses(results, complete(here, "kld_mean"))
        for row in here:
            name = str(row["variant_id"])
            if name in matrices or name in excesses:
                faults_by_id[name] = Fault(row, matrices.get(name, ()), excesses.get(name))
    return faults_by_id


def _place(row: Row) -> tuple[str, str]:
    return str(row["model"]), str(row["device"])


def _matrices(results: Results) -> dict[str, tuple[Matrix, ...]]:
    """Find the matrices whose error is far above that of their type in all files of the model."""
    layers = results.layers(EVERYTHING)
    if layers is None:
        return {}
    models = results.measured.select("variant_id", "model")
    held = layers.filter(pl.col("weight_error").is_finite(), pl.col("quant_type").is_not_null())
    usual = pl.col("weight_error").quantile(0.5, "lower").over("model", "quant_type")
    typed = held.with_columns(pl.col("role", "quant_type").cast(pl.String)).join(models, on="variant_id")
    odd = typed.with_columns(usual=usual).filter(
        (pl.col("weight_error") >= FOREIGN)
        | (pl.col("weight_error") > pl.max_horizontal(_ODD * pl.col("usual"), pl.lit(_LEAST_ERROR)))
    )
    columns = ("layer", "role", "quant_type", "weight_error", "usual")
    odd_by_id: dict[str, list[Matrix]] = {}
    for name, *values in odd.select("variant_id", *columns).sort("weight_error", descending=True).rows():
        odd_by_id.setdefault(str(name), []).append(Matrix(*values))
    return {name: tuple(items) for name, items in odd_by_id.items()}


def _excesses(results: Results, rows: Sequence[Row]) -> dict[str, Excess]:
    """Find excessive losses among files of one model on one device.

    Files are similar if they have the same type and about the same bits, or the same bits and size. A file is
    compared with the median of the similar ones, of two with the worse: an uncommonly good one makes no other broken.
    It is also compared with the median of the smaller files. Exact copies of the baseline are not compared with.
    """
    least = max(least_divergence(Scope(results, EVERYTHING), rows), 1e-6)
    ordered = sorted(rows, key=lambda row: (row["size_bytes"], row["variant_id"]))
    excesses = {}
    smaller: list[tuple[float, int]] = []
    for index, row in enumerate(ordered):
        peers = [other for other in ordered if other is not row and other["kld_mean"] > least]
        like = [Excess(other, relation) for other in peers if (relation := _likeness(row, other))]
        like.sort(key=lambda excess: float(excess.against["kld_mean"]))
        against = like[len(like) // 2 : len(like) // 2 + 1]
        if smaller:
            median = ordered[smaller[(len(smaller) - 1) // 2][1]]
            against.append(Excess(median, "a smaller file"))
        for excess in against:
            if _out_of_proportion(results, row, excess.against):
                excesses[str(row["variant_id"])] = excess
                break
        if row["kld_mean"] > least:
            insort(smaller, (float(row["kld_mean"]), index))
    return excesses


def _likeness(row: Row, other: Row) -> str:
    """Say how two files are similar; empty if they are not."""
    bits = abs(row["bits_per_weight"] / other["bits_per_weight"] - 1)
    if row["quant"] == other["quant"] and bits <= _SAME_TYPE:
        return "of the same type"
    if bits <= _SAME_FILE and abs(row["size_bytes"] / other["size_bytes"] - 1) <= _SAME_FILE:
        return "of the same size"
    return ""


def _far_above(row: Row, other: Row) -> bool:
    """Return whether a loss is excessive, ignoring its error."""
    least: float = max(_EXCESS * other["kld_mean"], other["kld_mean"] + _LEAST_NATS)
    return bool(row["kld_mean"] >= least)


def _out_of_proportion(results: Results, row: Row, other: Row) -> bool:
    if not _far_above(row, other):
        return False
    weights = {str(row["variant_id"]): 1.0, str(other["variant_id"]): -_EXCESS}
    beyond = combine(Scope(results, EVERYTHING), [row, other], weights, "kld")
    return beyond is None or not beyond.has_error or beyond.low > 0


def _selected(results: Results, shown: set[str]) -> list[Row]:
    """Return the rows of `shown` and the baselines, as a variant may be a copy of one."""
    rows = results.variants.to_dicts()
    return [row for row in rows if row["is_baseline"] or str(row["variant_id"]) in shown]


def _same_file(group: Sequence[Row]) -> Insight:
    return Insight(
        f"{_names(group)} are one file under {len(group)} names.", "caution", "their sha256 is the same"
    )


def _alike(rows: Sequence[Row], *columns: str) -> list[list[Row]]:
    """Return groups of two or more rows of one model and device that agree in the columns."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        key = tuple(row[column] for column in columns)
        if all(value not in (None, "") for value in key):
            groups.setdefault((*_place(row), *key), []).append(row)
    return [group for group in groups.values() if len(group) > 1]


def _names(group: Sequence[Row]) -> str:
    return formats.listing([str(row["label"]) for row in group])
