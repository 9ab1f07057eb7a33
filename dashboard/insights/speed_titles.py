"""Word view 4's title: whether another file is faster than the recommended one, and what it loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from dashboard.insights import Insight
from dashboard.insights.answers import Answers
from dashboard.insights.claim_rules import Spread
from dashboard.insights.comparison import gap
from dashboard.insights.faults import sound
from dashboard.insights.speed_order import is_faster, level_with, range_of, spread_of
from dashboard.insights.speeds import slowness
from dashboard.results.rows import Row, one_place
from dashboard.results.scope import Scope
from dashboard.style import formats


@dataclass(frozen=True)
class Race:
    """The file that the title is about, and the others' speed against it.

    `own` is the recommended file if it was timed (`is_recommended`), else the fastest. Of the files that are
    measurably faster (`faster`), `ahead` is the closest to the baseline of those as fast as the fastest. `level`
    counts the files that are neither faster nor slower, of `others`. Those of them that were timed in rounds with
    `own` lie in `reach`, in tokens/s, if there are any (`is_by_rounds`); else `reach` is the range that theirs
    overlap.
    """

    phase: str
    own: Row
    is_recommended: bool
    faster: tuple[Row, ...]
    ahead: Row | None
    level: int
    others: int
    reach: tuple[float, float]
    is_by_rounds: bool

    @property
    def columns(self) -> Spread:
        """The columns of the lower end, the median and the upper end of the tokens per second."""
        return spread_of(self.phase)

    @property
    def named(self) -> list[Row]:
        """The files in the title, the first of which it is about."""
        return [row for row in (self.ahead, self.own) if row is not None]

    @property
    def times(self) -> str:
        """How many times as fast the file ahead is; empty without one."""
        return "" if self.ahead is None else _times(self.ahead, self.own, self.columns)

    @property
    def role(self) -> str:
        """What the own file is, in words."""
        return "the recommended file" if self.is_recommended else "the fastest file"

    def rate(self, row: Row) -> str:
        """Return a file's speed in words."""
        return f"{formats.number(row[self.columns[1]])} tokens/s"


def race(scope: Scope, rows: Sequence[Row], phase: str) -> Race | None:
    """Compare the timed `rows` (see `timed`) of one model and device with the recommended file; None without any."""
    columns = spread_of(phase)
    ordered = sorted(
        sound(scope.results, one_place(rows)),
        key=lambda row: (slowness(row, columns), str(row["variant_id"])),
    )
    if not ordered:
        return None
    chosen = Answers.of(scope).chosen
    found = [row for row in ordered if chosen is not None and row["variant_id"] == chosen["variant_id"]]
    own = found[0] if found else ordered[0]
    others = [row for row in ordered if row is not own]
    place = ordered.index(own)
    leads = partial(is_faster, scope.results, phase=phase, among=len(others))
    faster = [row for row in ordered[:place] if leads(row, own) and _times(row, own, columns)]
    slower = [row for row in ordered[place + 1 :] if leads(own, row)]
    level = len(others) - len(faster) - len(slower)
    alike = [row for row in faster if row is faster[0] or not leads(faster[0], row)]
    ahead = min(alike, key=lambda row: (row["kld_mean"], row["variant_id"]), default=None)
    reach = level_with(scope.results, own, others, phase)
    ends = reach or range_of(scope.results, own, phase)
    return Race(phase, own, bool(found), tuple(faster), ahead, level, len(others), ends, reach is not None)


def _times(row: Row, other: Row, columns: Spread) -> str:
    return formats.times(row[columns[1]] / other[columns[1]])


def title(scope: Scope, race: Race) -> str:
    """Say what a faster file gains and loses, or that speed does not separate the files."""
    own, where = race.own, scope.in_engine
    if not race.others:
        return f"{own['label']} {race.phase}s {race.rate(own)}{where}"
    if race.ahead is not None:
        rates = f"{race.rate(race.ahead)} against {race.rate(own)}"
        than = f"the recommended {own['label']}{where} ({rates})"
        ahead = f"{race.ahead['label']} {race.phase}s {race.times}"
        return f"{ahead} as fast as {than}, {_at_loss(scope, race.ahead, own)}"
    name = f"{own['label']}, {race.role}" if race.is_recommended else own["label"]
    if race.level:
        than = f"{name} ({race.rate(own)})"
        return f"No file {race.phase}s measurably faster{where} than {than}: choose by loss"
    also = ", also" if race.is_recommended else ""
    return f"{name}{also} {race.phase}s fastest{where}, {race.rate(own)}"


def worth_running(scope: Scope, race: Race, front: Sequence[Row]) -> Insight:
    """Name the files of the Pareto front (by the medians, fastest first) that are measurably faster than the own one.

    If none is, say so; the own file is worth running if it is measurably faster than all others.
    """
    own, speed = race.own["label"], f"{race.phase} speed"
    what = speed + scope.in_engine
    if race.level and not race.faster:
        text = f"No file is worth running for {speed} alone{scope.in_engine}: none is measurably faster than {own}."
        return Insight(text, "tie", f"{race.level} of {race.others} other files are level with it")
    if not race.faster:
        return Insight(f"Worth running for {what}: {own}.", "finding", "no other selected variant is as fast")
    ids = {row["variant_id"] for row in race.faster}
    told = [row for row in front if row["variant_id"] in ids] or [race.ahead or race.faster[0]]
    text = f"Worth running for {what}: {formats.listing([str(row['label']) for row in told], 5)}."
    than = (
        f"measurably faster than {own}; no other selected variant is both faster and closer to the baseline"
    )
    return Insight(text, "finding", than)


def _at_loss(scope: Scope, row: Row, own: Row) -> str:
    """Write the mean KLD of a file as a multiple of another's."""
    difference = gap(scope, row, own, "kld")
    if difference is not None and difference.has_error and not difference.differs_from_zero:
        return "at the same loss within the error"
    if own["kld_mean"] <= 0:
        return f"at {formats.number(row['kld_mean'], 2)} nats mean KLD"
    return f"at {formats.times(row['kld_mean'] / own['kld_mean']) or '1.00 ×'} its loss"
