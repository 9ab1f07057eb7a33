"""Compare methods at equal size: rank measured files of about one size by mean KLD, size by size.

Views, claims, the summary and Compare all take the order of methods from here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from dashboard.insights.comparison import Ranking, gap, rank_files
from dashboard.insights.matching import TYPICAL_BITS
from dashboard.insights.noise import least_divergence
from dashboard.insights.resolution import equivalent
from dashboard.results.rows import SAME_BYTES, Row, by_method, complete
from dashboard.results.scope import Scope
from dashboard.results.statistics import Estimate

#: Files are of equal size if they differ by at most this share.
SAME_SIZE = 0.01
_LOSS = {"kld": "kld_mean", "nll": "ln_ppl_ratio"}
Groups = Mapping[str, Sequence[Row]]


@dataclass(frozen=True)
class Band:
    """Files of about one size, one per method, ranked by closeness to the baseline.

    `ranking` is by mean KLD, or by perplexity if KLD was not measured (`column`: `kld` or `nll`); `perplexity` is
    ln PPL of each other file minus that of the best. `smaller` names methods whose file is smaller than the others
    but still closer. `absent` names methods without a comparable file.
    """

    files: Mapping[str, Row]
    ranking: Ranking
    column: str
    perplexity: Mapping[str, Estimate]
    smaller: frozenset[str]
    absent: tuple[str, ...]

    @property
    def leader(self) -> str | None:
        """The method ahead of all others by more than the error; None for a tie."""
        return None if self.ranking.tied else self.ranking.best

    @property
    def first(self) -> list[str]:
        """The best method and those tied with it."""
        return [self.ranking.best, *self.ranking.tied]

    def closer(self, *variant_ids: str) -> str | None:
        """Return the id of the closer of two files; empty for a tie, None if this band does not decide."""
        names = [name for name, row in self.files.items() if row["variant_id"] in variant_ids]
        if len(names) != len(variant_ids) or self.ranking.best not in names:
            return None
        behind = all(name in self.ranking.behind for name in names if name != self.ranking.best)
        return str(self.files[self.ranking.best]["variant_id"]) if behind else ""

    @property
    def of_one_size(self) -> list[Row]:
        """The files of equal size, without the smaller ones."""
        return [row for method, row in self.files.items() if method not in self.smaller]

    @property
    def equivalent(self) -> bool:
        """Whether all files are too close to the baseline for tasks to tell them apart."""
        return self.column == "kld" and equivalent(list(self.files.values()))

    @property
    def measure(self) -> str:
        """The measure that decides, in words."""
        return "mean KLD" if self.column == "kld" else "perplexity"

    @property
    def instead(self) -> str:
        """Why another measure than mean KLD decides, for the end of a clause; empty if that does."""
        return "" if self.column == "kld" else ", as KLD was not measured"

    @property
    def bits(self) -> float:
        """Mean bits per weight."""
        return fmean(row["bits_per_weight"] for row in self.of_one_size)

    @property
    def size(self) -> float:
        """Mean size in bytes."""
        return fmean(row["size_bytes"] for row in self.of_one_size)

    @property
    def apart(self) -> float:
        """Share by which the largest file exceeds the smallest."""
        sizes = [row["size_bytes"] for row in self.of_one_size]
        return float(max(sizes) / min(sizes) - 1)


@dataclass(frozen=True)
class _Group:
    """Files of one size; for methods without one, their best smaller file if its loss is lower."""

    files: dict[str, Row]
    smaller: dict[str, Row]


def bands(scope: Scope, rows: Sequence[Row]) -> list[Band]:
    """Compare methods size by size, smallest first; `rows` are of one model and device.

    A file is compared with the nearest file in size of each other method, at most 1 % apart, if each is the
    other's nearest. A method without such a file takes part with a smaller one that is closer than all of them by
    more than the error. A file no better than a smaller one of its own method is left out. A lead counts if it
    exceeds the 95 % interval that holds for the leads of all bands together, and the noise floor.
    """
    column = "kld" if complete(rows, "kld_mean") else "nll"
    loss = _LOSS[column]
    offered = {
        name: _offered(group, loss) for name, group in by_method(complete(rows, loss, "size_bytes")).items()
    }
    groups = [group for group in _groups(offered, loss) if len(group.files) + len(group.smaller) > 1]
    compared = [_band(scope, group, column, offered, len(groups)) for group in groups]
    return [band for band in compared if band is not None]


def typical(compared: Sequence[Band]) -> Band | None:
    """Return the band with the most methods; of several, the one nearest 4.5 bits."""
    return min(compared, key=lambda band: (-len(band.files), abs(band.bits - TYPICAL_BITS)), default=None)


def lowest(compared: Sequence[Band], method: str | None = None) -> Band | None:
    """Return the band of the smallest files, among those with a file of `method` if given."""
    held = [band for band in compared if method is None or method in band.files]
    return min(held, key=lambda band: band.size, default=None)


def fullest(compared: Sequence[Band]) -> Band | None:
    """Return the band with files of the most methods; of several, that of the smallest files."""
    return min(compared, key=lambda band: (-len(band.files), band.size), default=None)


def tied_with(compared: Sequence[Band], variant_id: str) -> frozenset[str]:
    """Return the ids of files that the comparison at equal size does not tell from this one."""
    return frozenset(
        name
        for band in compared
        for name in (str(row["variant_id"]) for row in band.files.values())
        if name != variant_id and band.closer(variant_id, name) == ""
    )


def beaten_by_smaller(scope: Scope, rows: Sequence[Row], rivals: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Return files that a smaller one of `rivals` beats in KLD by more than the error, each with that one.

    The 95 % intervals hold for all compared files together, so that none is named by chance.
    """
    pairs = []
    for row in rows:
        smaller = [rival for rival in rivals if rival["size_bytes"] < row["size_bytes"] * (1 - SAME_BYTES)]
        best = min(smaller, key=lambda rival: (rival["kld_mean"], rival["variant_id"]), default=None)
        if best is not None and best["kld_mean"] < row["kld_mean"]:
            pairs.append((row, best))
    floor = least_divergence(scope, rows)
    beaten = []
    for row, best in pairs:
        behind = gap(scope, row, best, "kld")
        if behind is not None and behind.value - behind.reach(len(pairs)) > floor:
            beaten.append((row, best))
    return beaten


def _offered(group: Sequence[Row], loss: str) -> list[Row]:
    """Return the files of a method that lose less than all its smaller ones, sorted by size."""
    kept: list[Row] = []
    for row in sorted(group, key=lambda row: (row["size_bytes"], row[loss], row["variant_id"])):
        if not kept or row[loss] < kept[-1][loss]:
            kept = [other for other in kept if row["size_bytes"] > other["size_bytes"] * (1 + SAME_BYTES)]
            kept.append(row)
    return kept


def _nearest(row: Row, group: Sequence[Row]) -> Row | None:
    """Return the file of `group` (sorted by size) nearest in size, at most 1 % apart."""
    size = row["size_bytes"]
    place = bisect_left(group, size, key=lambda other: other["size_bytes"])
    near = [(_apart(size, other["size_bytes"]), other) for other in group[max(0, place - 1) : place + 1]]
    fitting = [item for item in near if item[0] <= SAME_SIZE]
    return min(fitting, key=lambda item: item[0])[1] if fitting else None


def _apart(one: float, other: float) -> float:
    return max(one, other) / min(one, other) - 1


def _groups(offered: Groups, loss: str) -> list[_Group]:
    files = sorted(
        ((name, row) for name, group in offered.items() for row in group),
        key=lambda item: (item[1]["size_bytes"], item[1]["variant_id"]),
    )
    used: set[str] = set()
    groups = []
    for name, row in files:
        if row["variant_id"] in used:
            continue
        together = {name: row}
        for other, group in offered.items():
            near = _nearest(row, group) if other != name else None
            if near is None or near["variant_id"] in used or _nearest(near, offered[name]) is not row:
                continue
            together[other] = near
        used |= {str(item["variant_id"]) for item in together.values()}
        groups.append(_Group(together, _smaller(together, offered, loss)))
    return groups


def _smaller(together: Mapping[str, Row], offered: Groups, loss: str) -> dict[str, Row]:
    """Return the best smaller file of each method absent from `together`, if it loses less than all of those."""
    size = min(row["size_bytes"] for row in together.values())
    least = min(row[loss] for row in together.values())
    smaller = {}
    for name, group in offered.items():
        fitting = [row for row in group if row["size_bytes"] <= size]
        if name not in together and fitting and fitting[-1][loss] < least:
            smaller[name] = fitting[-1]
    return smaller


def _band(scope: Scope, group: _Group, column: str, offered: Groups, among: int) -> Band | None:
    ahead = {}
    for name, row in group.smaller.items():
        ranking = rank_files(scope, group.files | {name: row}, column, among=among)
        if ranking is not None and ranking.best == name and not ranking.tied:
            ahead[name] = row
    files = group.files | ahead
    ranking = rank_files(scope, files, column, among=among)
    if ranking is None:
        return None
    held = {name: files[name] for name in ranking.values}
    best = held[ranking.best]
    gaps = {name: gap(scope, row, best) for name, row in held.items() if row is not best}
    perplexity = {name: behind for name, behind in gaps.items() if behind is not None}
    absent = tuple(name for name in offered if name not in held)
    return Band(held, ranking, column, perplexity, frozenset(ahead), absent)
