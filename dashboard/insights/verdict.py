"""Say which method is closest to the baseline at which sizes, as `bands` decides it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from dashboard.insights import Insight, Kind
from dashboard.insights.bands import Band, bands
from dashboard.insights.comparison import ONE_METHOD, change
from dashboard.insights.resolution import EQUIVALENT
from dashboard.results.rows import Row, by_method, complete, type_name
from dashboard.results.scope import Scope
from dashboard.results.statistics import Estimate
from dashboard.style import formats

#: How sizes are written: as bits per weight, or as file sizes.
Along = Literal["bits", "size"]
#: Sizes that differ by less are written as equal.
_EXACT = 0.0005
_APART = "The methods have no comparable files: none are of equal size, and no smaller file is closer."
_FINE = "equivalent for most uses"


@dataclass(frozen=True)
class Run:
    """Neighbouring bands with the same leader, or without one (None).

    `fine` is whether all their files are too close to the baseline for tasks to tell them apart. `first` and `last`
    are whether no band before or after this run was compared.
    """

    leader: str | None
    bands: tuple[Band, ...]
    fine: bool = False
    first: bool = False
    last: bool = False

    def where(self, along: Along = "bits") -> str:
        """Write the range of bits per weight, or of file sizes, with the types that the closest files have there.

        For example `up to 6.2 bits (Q4_K_M)` or `near 6.6 bits (Q5_K_M)`: bits are measured, so that a file may have
        more of them than its type's name says.
        """
        low, high = (_at(band, along) for band in (self.bands[0], self.bands[-1]))
        unit = " bits" if along == "bits" else ""
        smallest, largest = (self._types(band) for band in (self.bands[0], self.bands[-1]))
        fine = f"; {_FINE}" if self.fine else ""
        if low == high:
            return f"near {low}{unit} ({self._types(*self.bands)}{fine})"
        if self.first and not self.last:
            return f"up to {high}{unit} ({largest}{fine})"
        if self.last and not self.first:
            return f"from {low}{unit} ({smallest}) up{f' ({_FINE})' if self.fine else ''}"
        return f"from {low} ({smallest}) to {high}{unit} ({largest}{fine})"

    def _types(self, *among: Band) -> str:
        """Write the types of the leader's files in bands, or of the tied methods'."""
        closest = [
            type_name(band.files[method])
            for band in among
            for method in (band.first if self.leader is None else [self.leader])
            if method in band.files
        ]
        return formats.listing(list(dict.fromkeys(closest)))


def _at(band: Band, along: Along) -> str:
    return formats.size(band.size) if along == "size" else formats.one_decimal(band.bits)


def runs(compared: Sequence[Band]) -> list[Run]:
    """Join neighbouring bands with the same leader.

    A band in which that leader has no comparable file does not end its run.
    """
    grouped = groupby(compared, key=lambda band: (band.leader, band.equivalent))
    joined = [Run(leader, tuple(part), fine) for (leader, fine), part in grouped]
    kept: list[Run] = []
    for index, run in enumerate(joined):
        before, after = kept[-1] if kept else None, joined[index + 1] if index + 1 < len(joined) else None
        if before and after and _alike(before, after) and _absent(before.leader, run):
            continue
        if before and _alike(before, run):
            kept[-1] = replace(run, bands=before.bands + run.bands)
        else:
            kept.append(run)
    return [replace(run, first=run is kept[0], last=run is kept[-1]) for run in kept]


def _alike(one: Run, other: Run) -> bool:
    return (one.leader, one.fine) == (other.leader, other.fine)


def _absent(leader: str | None, run: Run) -> bool:
    return leader is not None and all(leader in band.absent for band in run.bands)


def where_each_leads(compared: Sequence[Band], along: Along = "bits") -> dict[str, str]:
    """Return where each leading method leads: `up to 6.2 bits (Q4_K_M)`."""
    named: dict[str, list[str]] = {}
    for run in runs(compared):
        if run.leader is not None:
            named.setdefault(run.leader, []).append(run.where(along))
    return {method: formats.listing(where) for method, where in named.items()}


def equal_size(scope: Scope, rows: Sequence[Row], along: Along = "bits") -> Insight:
    """Say which method is closest to the baseline at equal size, size by size.

    Args:
        scope: the folder and the filters.
        rows: variants of one model on one device.
        along: whether sizes are named by bits per weight or by the size of the file.
    """
    if len(by_method(complete(rows, "ln_ppl_ratio"))) < 2:
        return ONE_METHOD
    return verdict(bands(scope, rows), along)


def verdict(compared: Sequence[Band], along: Along = "bits") -> Insight:
    """Say which methods lead at which sizes, and which are tied."""
    if not compared:
        return Insight(_APART, "unknown", "equal size: at most 1 % apart")
    led = where_each_leads(compared, along)
    even = [run for run in runs(compared) if run.leader is None]
    parts = [f"{method} {where}" for method, where in led.items()]
    tied = _tied(even, along)
    if parts:
        others = f"; {tied}" if tied else ""
        text = f"At equal size, closest to the baseline: {formats.listing(parts, 6)}{others}."
    else:
        text = f"At equal size no method is clearly closest to the baseline: {tied}."
    effect = max(map(_lead, compared), default=0.0)
    detail = f"{_leads(compared)}{_by_perplexity(compared)}{rule(compared)}{_resolution(compared)}"
    return Insight(text, _kind(compared), detail, effect=effect)


def _lead(band: Band) -> float:
    """Return ln of the loss of the method next to a band's leader over the leader's; 0 without a leader."""
    best = band.ranking.values[band.ranking.best].value
    if band.leader is None or best <= 0:
        return 0.0
    return math.log1p(min(gap.value for gap in band.ranking.gaps.values()) / best)


def _kind(compared: Sequence[Band]) -> Kind:
    if any(band.leader is not None for band in compared):
        return "finding"
    return "unknown" if any(band.ranking.undecided == "unknown" for band in compared) else "tie"


def _tied(even: Sequence[Run], along: Along) -> str:
    """Say where methods are tied, naming them if they are the same in the whole run."""
    parts = []
    for run in even:
        first = {tuple(sorted(band.first)) for band in run.bands}
        names = f"{formats.listing(list(first.pop()))} " if len(first) == 1 else ""
        parts.append(f"{names}{_how(run)} {run.where(along)}")
    return formats.listing(parts) if parts else ""


def _how(run: Run) -> str:
    if all(band.ranking.identical for band in run.bands):
        return "identical"
    unknown = any(band.ranking.undecided == "unknown" for band in run.bands)
    return "undecided (error not measured)" if unknown else "tied"


def _leads(compared: Sequence[Band]) -> str:
    """Write each leader's smallest and largest lead over the next method."""
    counted = [band for run in runs(compared) for band in run.bands]
    parts = []
    for method in where_each_leads(compared):
        leads = [min(band.ranking.gaps.values(), key=_value) for band in counted if band.leader == method]
        low, high = (formats.number(end(leads, key=_value).value, 2) for end in (min, max))
        parts.append(f"{method} {low if low == high else f'{low} to {high}'} nats")
    return f"lead over the next: {'; '.join(parts)}; " if parts else ""


def _by_perplexity(compared: Sequence[Band]) -> str:
    """Count the leads by KLD that perplexity confirms, leaves open and contradicts, at 95 % for each pair."""
    led = [band for band in compared if band.leader is not None and band.column == "kld" and band.perplexity]
    if not led:
        return ""
    against = sum(any(gap.high < 0 for gap in band.perplexity.values()) for band in led)
    agreed = sum(all(gap.low > 0 for gap in band.perplexity.values()) for band in led)
    sizes = "size" if len(led) == 1 else "sizes"
    parts = [f"perplexity agrees at {agreed} of {len(led)} {sizes} with a lead"]
    parts += [f"prefers another file at {against}"] if against else []
    return f"{', '.join(parts)}; "


def _resolution(compared: Sequence[Band]) -> str:
    if not any(band.equivalent for band in compared):
        return ""
    limit = formats.number(EQUIVALENT, 1)
    return f"; {_FINE}: every file under {limit} nats, where KLD does not predict scores of tasks"


def _value(estimate: Estimate) -> float:
    return estimate.value


def rule(compared: Sequence[Band]) -> str:
    """Write the rule by which the bands were compared."""
    apart = max(band.apart for band in compared)
    floor = max(band.ranking.floor for band in compared)
    rounding = (
        f"; leads within the noise floor of {formats.number(floor, 2)} nats do not count" if floor > 0 else ""
    )
    among = compared[0].ranking.among
    sizes = f" for all {among} sizes together" if among > 1 else ""
    near = f" (at most {formats.percent(apart)} apart)" if apart >= _EXACT else ""
    measure = f"by {compared[0].measure} of measured files of equal size{near}{compared[0].instead}"
    return f"{measure}; paired, 95 %{sizes}{rounding}"


@dataclass(frozen=True)
class Standing:
    """One band in words: size, closest methods, lead, perplexity differences, and methods without such a file."""

    size: str
    closest: str
    lead: str
    perplexity: str
    absent: str


def standings(compared: Sequence[Band]) -> list[Standing]:
    """Describe every band, smallest first."""
    return [_standing(band) for band in compared]


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
        f"{first} {'identical' if ranking.identical else 'tied'}" if ranking.tied else f"{first}{smaller}",
        "; ".join(lead) or "none",
        "; ".join(others) or "not measured",
        formats.listing(list(band.absent)) if band.absent else "",
    )
