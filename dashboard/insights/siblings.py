"""Choose files to compare side by side: bands of equal size around the recommended files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from dashboard.insights.bands import SAME_SIZE
from dashboard.insights.matching import SAME_BITS, TYPICAL_BITS, matched, place_name
from dashboard.insights.recommender import PRIMARY, recommend
from dashboard.results.rows import SAME_BYTES, Row, by_method
from dashboard.style import formats


@dataclass(frozen=True)
class Siblings:
    """Files of equal size, else of about equal bits per weight, one per method, by name of method."""

    rows: tuple[Row, ...]

    @property
    def bits(self) -> float:
        """Mean bits per weight."""
        return fmean(row["bits_per_weight"] for row in self.rows)

    @property
    def name(self) -> str:
        """Their common type or their bits, and their sizes."""
        sizes = [row["size_bytes"] for row in self.rows]
        if max(sizes) <= min(sizes) * (1 + SAME_SIZE):
            return f"{place_name(self.rows)} · {formats.size(fmean(sizes))}"
        return f"{place_name(self.rows)} · {formats.span(formats.size(min(sizes)), formats.size(max(sizes)))}"

    def has(self, picked: frozenset[str]) -> bool:
        """Return whether one of the files is picked."""
        return any(row["variant_id"] in picked for row in self.rows)


def bands_of_siblings(rows: Sequence[Row]) -> list[Siblings]:
    """Put every row into one band, the most interesting band first.

    First come the bands of the recommended files, that for everyday use before the others, then the others by their
    distance in bits from the first one. A band holds each method's file of equal size. Before that of a recommended
    file comes the size, at most a quarter bit away, at which most methods have a file. Without a file of equal size
    a band holds those nearest in bits, at most a quarter bit away.
    """
    left = list(rows)
    bands: list[Siblings] = []

    def take(group: Sequence[Row]) -> None:
        bands.append(Siblings(tuple(sorted(group, key=lambda row: (row["method"], row["variant_id"])))))
        left[:] = [row for row in left if not any(row is taken for taken in group)]

    recommended = _recommended(rows)
    for centre in [*recommended, *_others(rows, recommended)]:
        if any(row is centre for row in recommended) and any(row is centre for row in left):
            groups = [_of_equal_size(row, left) for row in left if _bits_apart(row, centre) <= SAME_BITS]
            most = min(groups, key=lambda group: (-len(group), _bits_apart(group[0], centre)))
            if len(most) > 1:
                take(most)
        if any(row is centre for row in left):
            equal = _of_equal_size(centre, left)
            take(equal if len(equal) > 1 else _of_like_bits(centre, left))
    return bands


def _of_equal_size(row: Row, left: Sequence[Row]) -> list[Row]:
    """Return the row and each other method's file nearest in size, at most 1 % apart; of those, one of its type."""

    def distance(other: Row) -> tuple[bool, bool, float, str]:
        apart = abs(math.log(other["size_bytes"] / row["size_bytes"]))
        return apart > SAME_BYTES, other["quant"] != row["quant"], apart, str(other["variant_id"])

    near = [other for other in left if distance(other)[2] <= math.log1p(SAME_SIZE)]
    others = by_method([other for other in near if other["method"] != row["method"]])
    return [row, *(min(group, key=distance) for group in others.values())]


def _of_like_bits(row: Row, left: Sequence[Row]) -> list[Row]:
    """Return the row and each other method's file nearest in bits, at most a quarter bit away."""
    near = matched(by_method(left), row["bits_per_weight"])
    return [row, *(other for other in near.values() if other["method"] != row["method"])]


def _bits_apart(row: Row, other: Row) -> float:
    return float(abs(row["bits_per_weight"] - other["bits_per_weight"]))


def chosen_bands(rows: Sequence[Row], picked: frozenset[str], most: int) -> list[Siblings]:
    """Return the first of `bands_of_siblings` with at most `most` files together; the first one whatever its size.

    Bands with picked files come first; if they have more files than that, only the picked ones of them. Of several
    methods a band of a single file is left out, unless all files fit.
    """
    bands = bands_of_siblings(rows)
    if len(rows) <= most:
        return bands
    kept = [band for band in bands if band.has(picked)]
    if _count(kept) > most:
        kept = [Siblings(tuple(row for row in band.rows if row["variant_id"] in picked)) for band in kept]
    several = len(by_method(rows)) > 1
    for band in bands:
        fits = len(band.rows) <= most - _count(kept) and not (several and len(band.rows) == 1)
        if not band.has(picked) and (fits or not kept):
            kept.append(band)
    return kept


def _count(bands: Sequence[Siblings]) -> int:
    return sum(len(band.rows) for band in bands)


def _recommended(rows: Sequence[Row]) -> list[Row]:
    """Return the recommended files, that for everyday use first."""
    answers = sorted(recommend(rows), key=lambda item: item.need != PRIMARY)
    return [item.row for item in answers if item.row is not None]


def _others(rows: Sequence[Row], recommended: Sequence[Row]) -> list[Row]:
    """Return all rows by their distance in bits from the first recommended one."""
    around = recommended[0]["bits_per_weight"] if recommended else TYPICAL_BITS
    return sorted(rows, key=lambda row: (abs(row["bits_per_weight"] - around), row["variant_id"]))
