"""Which method is closest to the baseline at which sizes, in words; `bands` decides it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from dashboard.insights import Insight, Kind
from dashboard.insights.bands import Band, bands
from dashboard.insights.comparison import ONE_METHOD, change
from dashboard.results.rows import Row, by_method, complete, type_name
from dashboard.results.scope import Scope
from dashboard.results.statistics import Estimate
from dashboard.style import formats

#: What names a size: bits per weight, or the size of the file.
Along = Literal["bits", "size"]
#: Sizes that differ by less are written as equal.
_EXACT = 0.0005
_APART = (
    "The methods have no files that can be compared: no two are of one size, and no smaller file is closer."
)


@dataclass(frozen=True)
class Run:
    """Neighbouring bands with the same leader, or without one (None)."""

    leader: str | None
    bands: tuple[Band, ...]

    def where(self, along: Along = "bits") -> str:
        """The bits per weight, or the file sizes, that it reaches over."""
        first, last = self.bands[0], self.bands[-1]
        if along == "size":
            low, high = formats.size(first.size), formats.size(last.size)
            return f"near {low}" if low == high else f"from {low} to {high}"
        low, high = formats.number(first.bits), formats.number(last.bits)
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


def where_each_leads(found: Sequence[Band], along: Along = "bits") -> dict[str, str]:
    """Say of each method that leads somewhere where that is: `from 5.14 to 6.17 bits`."""
    named: dict[str, list[str]] = {}
    for run in runs(found):
        if run.leader is not None:
            named.setdefault(run.leader, []).append(run.where(along))
    return {method: formats.listing(where) for method, where in named.items()}


def equal_size(scope: Scope, rows: Sequence[Row], along: Along = "bits") -> Insight:
    """Tell which method is closest to the baseline at equal size, size by size.

    Args:
        scope: the folder and the filters.
        rows: variants of one model on one device.
        along: whether sizes are named by bits per weight or by the size of the file.
    """
    if len(by_method(complete(rows, "ln_ppl_ratio"))) < 2:
        return ONE_METHOD
    return verdict(bands(scope, rows), along)


def verdict(found: Sequence[Band], along: Along = "bits") -> Insight:
    """Word who leads where, and who is tied."""
    if not found:
        return Insight(_APART, "unknown", "files of one size are at most 2 % apart")
    led = where_each_leads(found, along)
    even = [run for run in runs(found) if run.leader is None]
    parts = [f"{method} {where}" for method, where in led.items()]
    tied = _tied(even, along)
    if parts:
        others = f"; {tied}" if tied else ""
        text = f"At equal size, closest to the baseline: {formats.listing(parts, 6)}{others}."
    else:
        text = f"At equal size nobody is surely closest to the baseline: {tied}."
    return Insight(text, _kind(found), f"{_leads(found)}{rule(found)}")


def _kind(found: Sequence[Band]) -> Kind:
    if any(band.leader is not None for band in found):
        return "finding"
    return "unknown" if any(band.ranking.undecided == "unknown" for band in found) else "tie"


def _tied(even: Sequence[Run], along: Along) -> str:
    """Name who is tied where; methods are named where they are the same in all of it."""
    parts = []
    for run in even:
        first = {tuple(sorted(band.first)) for band in run.bands}
        who = f"{formats.listing(list(first.pop()))} " if len(first) == 1 else ""
        parts.append(f"{who}{_how(run)} {run.where(along)}")
    return formats.listing(parts) if parts else ""


def _how(run: Run) -> str:
    unknown = any(band.ranking.undecided == "unknown" for band in run.bands)
    return "cannot be told apart (no error was measured)" if unknown else "tied"


def _leads(found: Sequence[Band]) -> str:
    """Say by how much each leader is ahead of the next at least and at most."""
    counted = [band for run in runs(found) for band in run.bands]
    parts = []
    for method in where_each_leads(found):
        leads = [min(band.ranking.gaps.values(), key=_value) for band in counted if band.leader == method]
        low, high = (formats.number(end(leads, key=_value).value, 2) for end in (min, max))
        parts.append(f"{method} {low if low == high else f'{low} to {high}'} nats")
    return f"ahead of the next by: {'; '.join(parts)}; " if parts else ""


def _value(estimate: Estimate) -> float:
    return estimate.value


def rule(found: Sequence[Band]) -> str:
    """Say how the bands were compared."""
    apart = max(band.apart for band in found)
    floor = max(band.ranking.floor for band in found)
    rounding = (
        f"; a lead within the noise floor of {formats.number(floor, 2)} nats is none" if floor > 0 else ""
    )
    among = found[0].ranking.among
    sizes = f" for all {among} sizes at once" if among > 1 else ""
    near = f", {formats.percent(apart)} apart at most" if apart >= _EXACT else ""
    return f"by {found[0].measure} of measured files of one size{near}; paired, 95 %{sizes}{rounding}"


@dataclass(frozen=True)
class Standing:
    """One band in words: its size, who is closest, by how much, what perplexity says, and who has no such file."""

    size: str
    closest: str
    lead: str
    perplexity: str
    absent: str


def standings(found: Sequence[Band]) -> list[Standing]:
    """Word every band, smallest first."""
    return [_standing(band) for band in found]


def _standing(band: Band) -> Standing:
    ranking = band.ranking
    first = formats.listing([f"{method} ({type_name(band.files[method])})" for method in band.first])
    smaller = ", with a smaller file" if ranking.best in band.smaller else ""
    lead = [
        f"{formats.with_error(gap.value, gap.reach(ranking.among))} nats ahead of {method}"
        for method, gap in ranking.behind.items()
    ]
    others = [f"{method} {change(gap)}" for method, gap in band.perplexity.items()]
    return Standing(
        f"{formats.size(band.size)} · {formats.bits(band.bits)}",
        f"{first} tied" if ranking.tied else f"{first}{smaller}",
        "; ".join(lead) or "none",
        "; ".join(others) or "not measured",
        formats.listing(list(band.absent)) if band.absent else "",
    )
