"""Choose variants that represent their methods: of one type, or of the same measured bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from dashboard.results.rows import Row, by_method
from dashboard.results.selection import Selection
from dashboard.style import formats

#: Types of different names are compared if their measured bits per weight differ by at most this.
SAME_BITS = 0.25
TYPICAL_BITS = 4.5


def representatives(rows: Sequence[Row], selection: Selection, most: int) -> list[Row]:
    """Return at most `most` variants to show: the picked ones, else one per method (see `one_type`).

    For a single method these are evenly spread types.
    """
    picked = [row for row in rows if row["variant_id"] in selection.picked]
    if picked:
        return sorted(picked, key=lambda row: (row["bits_per_weight"], row["variant_id"]))[:most]
    groups = by_method(rows)
    if len(groups) > 1:
        return one_type(rows)[:most]
    return evenly(rows, most)


def evenly(rows: Sequence[Row], most: int) -> list[Row]:
    """Return at most `most` (two or more) variants, evenly spread from the fewest bits to the most."""
    ordered = sorted(rows, key=lambda row: (row["bits_per_weight"], row["variant_id"]))
    if len(ordered) <= most:
        return ordered
    step = (len(ordered) - 1) / (most - 1)
    return [ordered[round(index * step)] for index in range(most)]


def one_type(rows: Sequence[Row]) -> list[Row]:
    """Return one variant per method to compare: of the type most methods share, nearest 4.5 bits.

    Methods without that type take part with their variant nearest in bits, at most a quarter bit away. Without
    any match each method gets its variant nearest 4.5 bits.
    """
    groups = by_method(rows)
    if len(groups) < 2:
        return [min(group, key=_distance) for group in groups.values()]
    matches = [_of_type(groups, quant) for quant in dict.fromkeys(row["quant"] for row in rows)]
    together = [match for match in matches if len(match) > 1]
    if not together:
        return [min(group, key=_distance) for group in groups.values()]
    return min(together, key=_preference)


def _of_type(groups: Mapping[str, Sequence[Row]], quant: str) -> list[Row]:
    """Return each method's variant of type `quant`, or its one nearest in bits to the variants of that type."""
    holders = {m: row for m, group in groups.items() for row in reversed(group) if row["quant"] == quant}
    bits = fmean(row["bits_per_weight"] for row in holders.values())
    matches = []
    for method, group in groups.items():
        row = holders.get(method) or min(group, key=lambda r: abs(r["bits_per_weight"] - bits))
        if method in holders or abs(row["bits_per_weight"] - bits) <= SAME_BITS:
            matches.append(row)
    return matches


def _preference(match: Sequence[Row]) -> tuple[float, ...]:
    """Return a sort key: most methods, then fewest type names, then closest bits, then nearest 4.5 bits."""
    bits = [row["bits_per_weight"] for row in match]
    names = len({row["quant"] for row in match})
    spread = round(max(bits) - min(bits), 1) if names > 1 else 0.0
    return (-len(match), names, spread, max(_distance(row) for row in match))


def matched(groups: Mapping[str, Sequence[Row]], where: float) -> dict[str, Row]:
    """Return each method's file nearest `where` bits, at most a quarter bit away, if it has one."""
    nearest = {name: min(group, key=lambda row: _distance(row, where)) for name, group in groups.items()}
    return {name: row for name, row in nearest.items() if _distance(row, where) <= SAME_BITS}


def shared_places(groups: Mapping[str, Sequence[Row]]) -> list[float]:
    """Return the bits at which any method has a file, sorted, within the range that all methods cover."""
    bits = {name: [row["bits_per_weight"] for row in group] for name, group in groups.items()}
    low = max((min(places) for places in bits.values()), default=0.0)
    high = min((max(places) for places in bits.values()), default=0.0)
    return sorted({place for places in bits.values() for place in places if low <= place <= high})


def together(groups: Mapping[str, Sequence[Row]], places: Sequence[float]) -> dict[str, Row] | None:
    """Return every method's file at the first of `places` (bits) where all have one; see `matched`."""
    matches = (matched(groups, where) for where in places)
    return next((files for files in matches if len(files) == len(groups)), None)


def outermost(groups: Mapping[str, Sequence[Row]]) -> tuple[dict[str, Row], dict[str, Row]] | None:
    """Return files of all methods at the fewest and at the most bits where each has one; see `matched`.

    None for fewer than two methods or fewer than two such places.
    """
    if len(groups) < 2:
        return None
    bits = shared_places(groups)
    fewest, most = together(groups, bits), together(groups, bits[::-1])
    if fewest is None or most is None or any(row is most[name] for name, row in fewest.items()):
        return None
    return fewest, most


def types_of(rows: Sequence[Row]) -> str:
    """Name all types of the variants: `Q4_K_M and UD-Q4_K_XL`."""
    return formats.listing(sorted({str(row["quant"]) for row in rows}))


def place_name(rows: Sequence[Row]) -> str:
    """Name the variants' common type, else their bits per weight, or the range of these."""
    quants = {str(row["quant"]) for row in rows}
    bits = [row["bits_per_weight"] for row in rows]
    return (
        quants.pop() if len(quants) == 1 else formats.span(formats.bits(min(bits)), formats.bits(max(bits)))
    )


def _distance(row: Row, where: float = TYPICAL_BITS) -> float:
    return float(abs(row["bits_per_weight"] - where))
