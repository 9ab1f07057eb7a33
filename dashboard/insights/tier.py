"""Choose the few files that a chart draws: the recommended one and each other method's nearest in size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dashboard.insights import Insight
from dashboard.insights.answers import Answers
from dashboard.insights.bands import SAME_SIZE
from dashboard.insights.matching import representatives
from dashboard.results.rows import Row, by_method
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING
from dashboard.style import formats

_MOST_NAMED = 6


@dataclass(frozen=True)
class Tier:
    """The files to draw.

    Attributes:
        rows: the files, in the order in which they are drawn.
        middle: the file whose size the others are near; None without files, or if they were not chosen by size.
        picked: how many of `rows` are drawn only because they are picked.
        left: how many picked files there was no room for.
    """

    rows: list[Row]
    middle: Row | None = None
    picked: int = 0
    left: int = 0

    @property
    def steady(self) -> list[Row]:
        """The files that are drawn without picks too."""
        return self.rows[self.picked :]

    def is_middle(self, row: Row) -> bool:
        """Return whether the files were chosen around this one."""
        return self.middle is not None and self.middle["variant_id"] == row["variant_id"]

    @property
    def told(self) -> list[Insight]:
        """How the files were chosen, as a note; nothing if all that pass the filters are drawn."""
        no_room = f"no room for {self.left} more of the picked files" if self.left else ""
        if self.middle is None:
            return [Insight(f"There is {no_room}.", "note")] if no_room else []
        others = [row for row in self.steady if not self.is_middle(row)]
        text = f"Shown: {self.middle['label']}"
        if others:
            text += f" and, of the other methods, the files nearest in size: {_named(others)}"
        size = self.middle["size_bytes"]
        apart = [row for row in others if abs(row["size_bytes"] - size) > SAME_SIZE * size]
        details = [f"not within 1 % of its size: {_apart(apart, size)}"] if apart else []
        if self.picked:
            details.append(f"picked besides: {_named(self.rows[: self.picked])}")
        details += [no_room] if no_room else []
        return [Insight(f"{text}.", "note", "; ".join(details))]


def tier(scope: Scope, rows: Sequence[Row], most: int, more: int = 0) -> Tier:
    """Return the recommended file, then each other method's file nearest in size, by method; picked others ahead.

    Picks add files and change neither the others nor their order; without places of their own, while there is
    room. Of files equally near the closest to the baseline is taken. If only one method is left, its files are
    spread evenly. Files that the user kept by name are all drawn, where they are at most `most`.

    Args:
        scope: the selection, whose recommended file is in the middle.
        rows: the files to choose from, of one model on one device.
        most: the most files to draw; of more methods those nearest in size are kept.
        more: places besides, for picked files.
    """
    if not rows:
        return Tier([])
    return _with_picks(_chosen(scope, rows, most), scope, rows, most, more)


def _chosen(scope: Scope, rows: Sequence[Row], most: int) -> Tier:
    if scope.selection.only and len(rows) <= most:
        return Tier(sorted(rows, key=lambda row: (row["bits_per_weight"], row["variant_id"])))
    middle = _middle(scope, rows)
    groups = by_method(rows)
    if len(groups) < 2:
        return Tier(_spread(rows, middle, most))
    nearest = [
        min(group, key=lambda row: _distance(row, middle))
        for group in groups.values()
        if group[0]["method"] != middle["method"]
    ]
    kept = sorted(nearest, key=lambda row: _distance(row, middle))[: most - 1]
    return Tier([middle, *sorted(kept, key=lambda row: str(row["method"]))], middle)


def _with_picks(chosen: Tier, scope: Scope, rows: Sequence[Row], most: int, more: int) -> Tier:
    """Put the picked files that are not drawn before the others, fewest bits first."""
    there = {row["variant_id"] for row in chosen.rows}
    picked = scope.selection.picked
    added = [row for row in rows if row["variant_id"] in picked and row["variant_id"] not in there]
    ordered = sorted(added, key=lambda row: (row["bits_per_weight"], row["variant_id"]))
    staying = len(chosen.rows) if more else int(chosen.middle is not None)
    kept = ordered[: most + more - staying]
    left = len(ordered) - len(kept)
    return replace(chosen, rows=[*kept, *chosen.rows][: most + more], picked=len(kept), left=left)


def _middle(scope: Scope, rows: Sequence[Row]) -> Row:
    """Return the recommended file, or what is nearest to it among `rows`, of its own method if possible."""
    chosen = Answers.of(scope).chosen
    if chosen is None:
        return representatives(rows, EVERYTHING, len(rows))[0]
    same = [row for row in rows if row["variant_id"] == chosen["variant_id"]]
    of_method = [row for row in rows if row["method"] == chosen["method"]]
    return same[0] if same else min(of_method or rows, key=lambda row: _distance(row, chosen))


def _distance(row: Row, middle: Row) -> tuple[float, float, str]:
    loss = row["kld_mean"] if row["kld_mean"] is not None else float("inf")
    return abs(row["size_bytes"] - middle["size_bytes"]), loss, str(row["variant_id"])


def _spread(rows: Sequence[Row], middle: Row, most: int) -> list[Row]:
    """Return evenly spread files of one method; the recommended one replaces what is nearest to it in size."""
    spread = representatives(rows, EVERYTHING, most)
    if any(row["variant_id"] == middle["variant_id"] for row in spread):
        return spread
    replaced = min(range(len(spread)), key=lambda place: _distance(spread[place], middle))
    return [*spread[:replaced], middle, *spread[replaced + 1 :]]


def _named(rows: Sequence[Row]) -> str:
    return formats.listing([str(row["label"]) for row in rows], _MOST_NAMED)


def _apart(rows: Sequence[Row], size: float) -> str:
    """Name files with how far their sizes are from `size` (bytes)."""
    shares = [100 * (row["size_bytes"] / size - 1) for row in rows]
    pairs = zip(rows, shares, strict=True)
    return formats.listing(
        [f"{row['label']} {formats.signed(share, 2)} %" for row, share in pairs], _MOST_NAMED
    )
