"""Choose files to compare side by side: bands of about one size around the recommended files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from dashboard.insights.matching import TYPICAL_BITS, matched, place_name
from dashboard.insights.recommender import PRIMARY, recommend
from dashboard.results.rows import Row, by_method
from dashboard.style import formats


@dataclass(frozen=True)
class Siblings:
    """Files of one type or of about equal bits per weight, one per method, by name of method."""

    rows: tuple[Row, ...]

    @property
    def bits(self) -> float:
        """Mean bits per weight."""
        return fmean(row["bits_per_weight"] for row in self.rows)

    @property
    def name(self) -> str:
        """Their common type or their bits, and their mean size."""
        size = formats.size(fmean(row["size_bytes"] for row in self.rows))
        return f"{place_name(self.rows)} · {size}"

    def has(self, picked: frozenset[str]) -> bool:
        """Return whether one of the files is picked."""
        return any(row["variant_id"] in picked for row in self.rows)


def bands_of_siblings(rows: Sequence[Row]) -> list[Siblings]:
    """Put every row into one band, the most interesting band first.

    First come the bands of the recommended files, that for everyday use before the others, then the others by their
    distance in bits from the first one. A band holds each method's file nearest in bits, at most a quarter bit away.
    """
    left = list(rows)
    bands = []
    for centre in _centres(rows):
        if not any(row is centre for row in left):
            continue
        near = matched(by_method(left), centre["bits_per_weight"])
        near = {name: row for name, row in near.items() if row["method"] != centre["method"]}
        group = sorted([centre, *near.values()], key=lambda row: (row["method"], row["variant_id"]))
        bands.append(Siblings(tuple(group)))
        left = [row for row in left if not any(row is taken for taken in group)]
    return bands


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


def _centres(rows: Sequence[Row]) -> Iterator[Row]:
    """Return all rows: the recommended ones, then the others by their distance in bits from the first one."""
    answers = sorted(recommend(rows), key=lambda item: item.need != PRIMARY)
    first = [item.row for item in answers if item.row is not None]
    yield from first
    around = first[0]["bits_per_weight"] if first else TYPICAL_BITS
    yield from sorted(rows, key=lambda row: (abs(row["bits_per_weight"] - around), row["variant_id"]))
