"""Find the best file, and type of the cache, within a user's limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from dashboard.insights.candidates import Candidate, Candidates
from dashboard.insights.memory_need import COPIES, peak_with_copies
from dashboard.insights.recommender import NOT_COMPARED
from dashboard.results.engines import as_run_by
from dashboard.results.rows import SAME_BYTES
from dashboard.style import formats

#: How much more memory the next step may take.
STEP_BYTES = 500_000_000
_STEP_SHARE = 0.25
_SPEED_RULE = "; a speed counts as fast enough unless it is measurably below the limit"


@dataclass(frozen=True)
class Need:
    """The user's limits; None means no limit.

    `budget_gb` bounds the memory that running the file takes, or, where that is not known, its size (GB = 10⁹ bytes),
    `min_tps` asks for decoded tokens per second, `floor` bounds the rise of perplexity (a share) at its 95 % upper
    bound, and `context` is in tokens.
    """

    budget_gb: float | None = None
    min_tps: float | None = None
    floor: float | None = None
    context: int | None = None

    @property
    def limits(self) -> str:
        """The limits in words; empty without limits."""
        limits = []
        if self.budget_gb is not None:
            limits.append(f"at most {formats.size(1e9 * self.budget_gb)}")
        if self.context is not None:
            limits.append(f"{formats.count(self.context)} tokens of context")
        if self.min_tps is not None:
            limits.append(f"at least {formats.number(self.min_tps)} tokens/s decoded")
        if self.floor is not None:
            limits.append(f"perplexity up by less than {_all_decimals(self.floor)} at the 95 % bound")
        return formats.listing(limits) if limits else ""

    def judged(self, among: Candidates) -> Need:
        """Return the limits that can be judged: without the context where no memory was measured."""
        return self if among.context is not None else replace(self, context=None)

    def unmeasured(self, among: Candidates) -> str:
        """Say that the memory of the wanted context was not measured; empty if it was, or none is wanted."""
        if self.judged(among) == self:
            return ""
        return f"what {formats.count(self.context or 0)} tokens of context take was not measured"

    @property
    def wants_smallest(self) -> bool:
        """Whether only quality is limited: then the smallest fitting file is the best, else the closest one."""
        return self.floor is not None and self.budget_gb is None and self.min_tps is None

    def rule(self, among: Candidates) -> str:
        """Return the rule in words."""
        memory = "memory is file, cache and buffers"
        if among.context is None:
            memory = "memory is the file alone: what cache and buffers take was not measured"
        elif self.context is None:
            memory += f", for {formats.count(among.context)} tokens unless you name a context"
        if self.context is not None or self.budget_gb is not None:
            memory += among.without_memory
        if self.wants_smallest:
            return f"smallest file with {self.limits}"
        how = f" as run in {among.engine}" if among.as_run else ""
        within = f" among files with {self.limits}" if self.limits else ""
        spread = "" if self.min_tps is None else f"{_SPEED_RULE}{among.without_speed}"
        return f"lowest mean KLD{how}{within}; {memory}{spread}"

    def best(self, fitting: Sequence[Candidate]) -> Candidate | None:
        """Return the best of candidates that all meet the limits.

        Of files of the smallest size, which differ in padding and metadata only, it is the closest.
        """
        if self.wants_smallest:
            least = min((item.row["size_bytes"] for item in fitting), default=0)
            fitting = [item for item in fitting if item.row["size_bytes"] <= least * (1 + SAME_BYTES)]
        known = [item for item in fitting if item.loss is not None]
        return min(known or fitting, key=lambda item: item.order, default=None)


@dataclass(frozen=True)
class Advice:
    """The best candidate for a need, the second best, and the best one for a little more memory.

    `why` says what the best one takes and loses, and `memory` how much of it is file, cache and buffers, if known.
    `unmeasured` names a better file that fits with a type of the cache whose loss was not measured, if there is one.
    `tied` says that the best one's speed is tied with the limit, if it is.
    """

    best: Candidate | None
    runner_up: Candidate | None
    why: str
    next_step: str
    rule: str
    unmeasured: str = ""
    tied: str = ""

    @property
    def memory(self) -> str:
        """What the best one's memory is made of, and why its measured peak is higher; empty if it is not known."""
        if self.best is None or self.best.memory is None:
            return ""
        known = self.best.memory
        peak = peak_with_copies(self.best.row, known)
        copies = "" if peak is None else f"; the measured peak, {formats.size(peak)}, has {COPIES}"
        return f"{known.in_words}{copies}"


def advise(among: Candidates, need: Need) -> Advice:
    """Return the best candidate that meets `need`, as far as it can be judged, or say which limit none meets."""
    need = need.judged(among)
    rule = need.rule(among)
    if not among.ready:
        return Advice(None, None, NOT_COMPARED, "", rule)
    found = fitting(among.ready, among, need)
    best = need.best(found)
    unmeasured = _unmeasured(among, need, best)
    if best is None:
        return Advice(None, None, _obstacle(among, need), "", rule, unmeasured)
    second = need.best([item for item in found if item is not best])
    why, step = _reason(best, among), _next_step(among, need, best)
    return Advice(best, second, why, step, rule, unmeasured, _tied(best, among, need))


def fitting(items: Sequence[Candidate], among: Candidates, need: Need) -> list[Candidate]:
    """Return the candidates that meet every limit; memory that is not known for the context meets none."""
    found = list(items)
    if among.context is not None and (need.context is not None or need.budget_gb is not None):
        found = [item for item in found if item.memory is not None]
    if need.budget_gb is not None:
        found = [item for item in found if item.n_bytes <= 1e9 * need.budget_gb]
    if need.min_tps is not None:
        found = [item for item in found if item.reaches(need.min_tps)]
    if need.floor is not None:
        limit = math.log1p(need.floor)
        found = [item for item in found if item.ratio is not None and item.ratio.high < limit]
    return found


def _all_decimals(share: float) -> str:
    """Write a share in per cent with the decimals that it was typed with, at least one: 0.03 % is not 0.0 %."""
    exponent = int(Decimal(f"{100 * share:.6g}").as_tuple().exponent)
    return formats.percent(share, max(1, -exponent))


def undecided(items: Sequence[Candidate], among: Candidates, need: Need) -> list[Candidate]:
    """Return the candidates that may meet every limit: they meet all but those of something not measured."""
    found = []
    for item in items:
        known, where = need, among
        if item.tps is None:
            known = replace(known, min_tps=None)
        if item.memory is None:  # The file alone must be small enough.
            known, where = replace(known, context=None), replace(among, context=None)
        if fitting([item], where, known) and not fitting([item], among, need):
            found.append(item)
    return found


def _reason(item: Candidate, among: Candidates) -> str:
    where = as_run_by(among.engine)
    decoded = f", {formats.number(item.tps)} tokens/s {where}" if item.tps is not None else ""
    return f"{formats.size(item.n_bytes)}{decoded}, {item.price}"


def _tied(item: Candidate, among: Candidates, need: Need) -> str:
    if need.min_tps is None or item.tps is None or item.tps >= need.min_tps:
        return ""
    median = f"{formats.number(item.tps)} tokens/s {as_run_by(among.engine)}"
    return f"Its median, {median}, is under your limit, but not measurably."


def _obstacle(among: Candidates, need: Need) -> str:
    """Name the limit that no candidate meets, else say that the limits conflict."""
    alone = {
        _too_long: (need.context, Need(context=need.context)),
        _too_large: (need.budget_gb, Need(need.budget_gb, context=need.context)),
        _too_slow: (need.min_tps, Need(min_tps=need.min_tps)),
        _too_lossy: (need.floor, Need(floor=need.floor)),
    }
    for told, (limit, one) in alone.items():
        if limit is not None and not fitting(among.ready, among, one):
            return told(among)
    none = "no file is known to meet" if undecided(among.ready, among, need) else "no file meets"
    return f"Each limit is met by some file, but {none} them all."


def _too_long(among: Candidates) -> str:
    longest = formats.count(among.longest)
    return f"The memory is not known for a context that long: the longest measured is {longest} tokens."


def _too_large(among: Candidates) -> str:
    known = [item for item in among.ready if item.memory is not None or among.context is None]
    if not known:
        return "Memory was measured only with types of the cache whose loss is not known."
    least = min(known, key=lambda item: (item.n_bytes, item.order))
    takes = least.memory.in_words if least.memory else formats.size(least.n_bytes)
    return f"No file is that small: the smallest, {least.label}, takes {takes}."


def _too_slow(among: Candidates) -> str:
    timed = [item for item in among.ready if item.tps is not None]
    if not timed:
        return "Speed was not measured for any selected variant."
    fastest = max(timed, key=lambda item: (item.tps or 0.0, item.row["variant_id"]))
    file = "timed file" if among.without_speed else "file"
    return f"No {file} is that fast: the fastest, {fastest.label}, decodes {formats.number(fastest.tps)} tokens/s."


def _too_lossy(among: Candidates) -> str:
    nearest = min(among.ready, key=lambda item: (item.ratio.high if item.ratio else math.inf, item.order))
    return f"No file meets that quality limit: the nearest is {nearest.label}, {nearest.price}."


def _next_step(among: Candidates, need: Need, best: Candidate) -> str:
    """Name the best candidate for up to 0.5 GB more (for small models a quarter); empty if none takes more."""
    if need.wants_smallest or all(item.n_bytes <= best.n_bytes for item in among.ready):
        return ""
    limit = 1e9 * need.budget_gb if need.budget_gb is not None else best.n_bytes
    more = min(STEP_BYTES, _STEP_SHARE * max(limit, best.n_bytes))
    wider = replace(need, budget_gb=(limit + more) / 1e9)
    better = need.best(fitting(among.ready, among, wider))
    if better is None or better is best:
        rivals = [item for item in undecided(among.ready, among, wider) if item.order < best.order]
        file = "timed file" if any(item.tps is None for item in rivals) else "file of known memory"
        return f"With up to {formats.size(more)} more, no {file if rivals else 'file'} is closer."
    return f"With up to {formats.size(more)} more: {better.label}, {_reason(better, among)}."


def _unmeasured(among: Candidates, need: Need, best: Candidate | None) -> str:
    """Name the best file that fits only with a type of the cache whose loss was not measured, if it may be better."""
    usual = {item.row["variant_id"]: item for item in reversed(among.ready)}
    within = Need(need.budget_gb, context=need.context)
    largest: dict[str, float] = {}  # of each file with a measured type that fits
    for item in fitting(among.ready, among, within):
        name = item.row["variant_id"]
        largest[name] = max(item.n_bytes, largest.get(name, 0.0))
    others = replace(need, budget_gb=None, context=None)  # of which only the usual type's values are known
    found = []
    for item in fitting(among.unmeasured, among, within):
        name = item.row["variant_id"]
        own = usual[name]
        ahead = best is None or own.order[0] < best.order[0]
        if ahead and largest.get(name, 0.0) < item.n_bytes and fitting([own], among, others):
            found.append((own.order, -item.n_bytes, item))
    if not found or need.budget_gb is None:
        return ""
    item = min(found, key=lambda entry: entry[:2])[2]
    return (
        f"{item.row['label']} would fit with {item.cache_type} cache, but what that costs was not measured: "
        f"run with --kv-cache {item.cache_type}."
    )
