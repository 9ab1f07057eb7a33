"""Which method is closest to the baseline at which sizes, in words; `bands` decides it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from dashboard import formats
from dashboard.charts import Row, by_method, complete
from dashboard.insights import Insight, Kind
from dashboard.insights.bands import Band, bands
from dashboard.insights.comparison import ONE_METHOD, change
from dashboard.insights.statistics import Estimate
from dashboard.results import Results
from dashboard.selection import Selection

_MOST_SIZES = 10
_APART = (
    "The methods have no files that can be compared: no two are of one size, and no smaller file is closer."
)


@dataclass(frozen=True)
class Run:
    """Neighbouring bands with the same leader, or without one (None)."""

    leader: str | None
    bands: tuple[Band, ...]

    @property
    def where(self) -> str:
        """The bits per weight it reaches over."""
        low, high = (formats.number(self.bands[end].bits) for end in (0, -1))
        return f"near {low} bits" if low == high else f"from {low} to {high} bits"


def runs(found: Sequence[Band]) -> list[Run]:
    """Join neighbouring bands with the same leader.

    Bands where that leader has no file to compare do not end its run: nobody passed it there.
    """
    joined = [Run(leader, tuple(part)) for leader, part in groupby(found, key=lambda band: band.leader)]
    kept: list[Run] = []
    for index, run in enumerate(joined):
        before, after = kept[-1] if kept else None, joined[index + 1] if index + 1 < len(joined) else None
        if before and after and before.leader == after.leader and _absent(before.leader, run):
            continue
        if before and before.leader == run.leader:
            kept[-1] = Run(run.leader, before.bands + run.bands)
        else:
            kept.append(run)
    return kept


def _absent(leader: str | None, run: Run) -> bool:
    return leader is not None and all(leader in band.absent for band in run.bands)


def places(found: Sequence[Band]) -> dict[str, str]:
    """Say of each method that leads somewhere where that is: `from 5.14 to 6.17 bits`."""
    named: dict[str, list[str]] = {}
    for run in runs(found):
        if run.leader is not None:
            named.setdefault(run.leader, []).append(run.where)
    return {method: formats.listing(where) for method, where in named.items()}


def equal_size(results: Results, selection: Selection, rows: Sequence[Row]) -> Insight:
    """Tell which method is closest to the baseline at equal size, size by size; `rows` are of one place."""
    if len(by_method(complete(rows, "ln_ppl_ratio"))) < 2:
        return ONE_METHOD
    return verdict(bands(results, selection, rows))


def verdict(found: Sequence[Band]) -> Insight:
    """Word who leads where, and who is tied."""
    if not found:
        return Insight(_APART, "unknown", "files of one size are at most 2 % apart")
    led = places(found)
    even = [run for run in runs(found) if run.leader is None]
    parts = [f"{method} {where}" for method, where in led.items()]
    tied = _tied(even)
    if parts:
        others = f"; {tied}" if tied else ""
        text = f"At equal size, closest to the baseline: {formats.listing(parts, 6)}{others}."
    else:
        text = f"At equal size {tied}."
    return Insight(text, _kind(found), f"{_by_size(found)}. {_rule(found)}")


def _kind(found: Sequence[Band]) -> Kind:
    if any(band.leader is not None for band in found):
        return "finding"
    return "unknown" if any(band.ranking.undecided == "unknown" for band in found) else "tie"


def _tied(even: Sequence[Run]) -> str:
    """Name who is tied where; methods are named where they are the same in all of it."""
    parts = []
    for run in even:
        first = {tuple(sorted(band.first)) for band in run.bands}
        who = f"{formats.listing(list(first.pop()))} " if len(first) == 1 else ""
        parts.append(f"{who}{_how(run)} {run.where}")
    return formats.listing(parts)


def _how(run: Run) -> str:
    unknown = any(band.ranking.undecided == "unknown" for band in run.bands)
    return "cannot be told apart (no error was measured)" if unknown else "tied"


def _by_size(found: Sequence[Band]) -> str:
    shown = [f"{formats.size(band.size)}: {standing(band)}" for band in found]
    more = [f"{len(shown) - _MOST_SIZES} more sizes"] if len(shown) > _MOST_SIZES else []
    return "; ".join([*shown[:_MOST_SIZES], *more])


def standing(band: Band) -> str:
    """Word who is ahead of whom in one band, by how much, and what perplexity says of it."""
    best, tied = band.ranking.best, band.ranking.tied
    behind = band.ranking.behind
    parts = [
        f"{_lead(band, gap)} ahead of {method}{_perplexity(band, method)}" for method, gap in behind.items()
    ]
    words = f"{best} {formats.listing(parts)}" if parts else ""
    even = f"{formats.listing([best, *tied])} tied" if tied else ""
    smaller = [f"{method}'s file is smaller" for method in sorted(band.smaller)]
    absent = [f"no file of {formats.listing(list(band.absent))}"] if band.absent else []
    return ", ".join([*filter(None, [words, even]), *smaller, *absent])


def _lead(band: Band, gap: Estimate) -> str:
    return f"{formats.with_error(gap.value, gap.reach(band.ranking.among))} nats"


def _perplexity(band: Band, method: str) -> str:
    """Say how perplexity sees a lead by KLD, where it does not see it."""
    behind = band.perplexity.get(method)
    if band.column == "nll" or behind is None or behind.low > 0:
        return ""
    return f" (perplexity {'says otherwise' if behind.high < 0 else 'tied'}: {change(behind)})"


def _rule(found: Sequence[Band]) -> str:
    by = found[0].measure
    apart = formats.percent(max(band.apart for band in found))
    floor = max(band.ranking.floor for band in found)
    rounding = (
        f"; a lead under the noise floor of {formats.number(floor, 2)} nats is none" if floor > 0 else ""
    )
    sizes = f"all {found[0].ranking.among} sizes" if found[0].ranking.among > 1 else "one size"
    return (
        f"By {by} of measured files, sizes at most {apart} apart; paired, 95 % for {sizes} at once{rounding}"
    )
