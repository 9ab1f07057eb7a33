"""Compare types of the cache: what each adds to the loss, saves and costs in time, and where it is worth it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from statistics import fmean, median

from dashboard.insights import Insight
from dashboard.insights.comparison import gap
from dashboard.insights.faults import sound
from dashboard.insights.memory_need import MemoryNeed, memory_needs
from dashboard.insights.noise import least_divergence
from dashboard.results.cache_types import by_file, cache_types, usual_type, with_caches
from dashboard.results.results import Results
from dashboard.results.rows import Row, complete, one_place
from dashboard.results.scope import Scope
from dashboard.style import formats

NOTHING_RUN = "No selected variant was run with types of the cache"
_NAMED = 3
#: Losses of a file as it runs: the column, and the per-token quantity whose difference has an error.
LOSSES = {"kld": ("cache_baseline_kld_mean", "kld"), "ppl": ("cache_ppl", "nll")}


def named(row: Row) -> str:
    """Name a file with its type of the cache."""
    return f"{row['label']} with {row['cache_type']} cache"


@dataclass(frozen=True)
class Setting:
    """What is compared: rows of one model on one device as they run, by a loss, with a context in tokens.

    `needs` has the memory of every row by file, engine and type of the cache, or nothing if one was not measured.
    `passing` are the rows of all models and devices.
    """

    rows: Sequence[Row]
    loss: str
    context: int
    needs: Mapping[tuple[str, str, str], MemoryNeed] = field(default_factory=dict)
    passing: Sequence[Row] = ()

    @classmethod
    def of(cls, scope: Scope, loss: str, context: int) -> Setting:
        """Return the rows that have the loss, with their memory, or those whose cache has known bytes."""
        column = LOSSES[loss][0]
        rows = [row for row in complete(with_caches(scope), column) if loss != "ppl" or row[column] > 0]
        measured = memory_needs(scope.results)
        needs = {_run(row): need for row in rows if (need := measured.at(*_run(row), context)) is not None}
        if len(needs) == len(rows) and all(need.buffers is not None for need in needs.values()):
            return cls(one_place(rows), loss, context, needs, rows)
        known = complete(rows, "bytes_per_1000_tokens")
        return cls(one_place(known), loss, context, passing=known)

    def sound(self, results: Results) -> Setting:
        """Leave out files that look broken."""
        return replace(self, rows=sound(results, self.rows))

    def bytes_of(self, row: Row) -> float:
        """Return the bytes of file, cache and buffers, or of file and cache if no buffers are known."""
        if self.needs:
            return self.needs[_run(row)].total
        return float(row["size_bytes"] + row["bytes_per_1000_tokens"] * self.context / 1000)

    def memory_of(self, row: Row) -> str:
        """Say what a row's bytes are made of."""
        if self.needs:
            return self.needs[_run(row)].in_words
        total, file = self.bytes_of(row), row["size_bytes"]
        return f"file {formats.size(file)} + cache {formats.size(total - file)} = {formats.size(total)}"

    @property
    def counted(self) -> str:
        """What the bytes are made of, in words."""
        return "file, cache and buffers" if self.needs else "file and cache"

    def loss_of(self, row: Row) -> float:
        """Return the loss in nats: the KLD, or ln PPL."""
        value = float(row[LOSSES[self.loss][0]])
        return math.log(value) if self.loss == "ppl" else value

    @property
    def in_words(self) -> str:
        """The context in words."""
        return f"{self.context // 1024}k context"

    @cached_property
    def front(self) -> list[Row]:
        """The rows with a lower loss than all that take no more memory, by memory."""
        kept: list[Row] = []
        for row in sorted(self.rows, key=lambda row: (self.bytes_of(row), self.loss_of(row))):
            if not kept or self.loss_of(row) < self.loss_of(kept[-1]):
                kept.append(row)
        return kept


def _run(row: Row) -> tuple[str, str, str]:
    return str(row["variant_id"]), str(row["engine"]), str(row["cache_type"])


@dataclass(frozen=True)
class Win:
    """Memory from `low` to `high` bytes in which `better` is best; `other` is the best there with the usual cache."""

    better: Row
    other: Row
    low: float
    high: float

    def __str__(self) -> str:
        """Name the two and the range."""
        beaten = f"{self.other['label']} with {self.other['cache_type']}"
        return f"{named(self.better)} beats {beaten} {between(self.low, self.high)}"


def between(low: float, high: float) -> str:
    """Write a range of bytes that may have no upper end."""
    start = f"from {formats.size(low)}"
    return f"{start} to {formats.size(high)}" if math.isfinite(high) else start


def wins(scope: Scope, setting: Setting) -> list[Win]:
    """Return where another cache than the usual one wins at equal memory, the widest range first.

    A file and its cache are best from the memory that they take to the memory from which something better fits, or
    the same file with the usual cache. Losses as run are not paired over tokens, so the loss must be lower by more
    than the 95 % interval of the difference between the two files' own weights, which holds for all candidates
    together, and by more than the noise floor.
    """
    candidates = _candidates(setting)
    everything = scope.narrowed(domains=frozenset(), bins=frozenset())
    floor = least_divergence(everything, setting.rows) if setting.loss == "kld" else 0.0
    found = []
    for win in candidates:
        between = gap(everything, win.other, win.better, LOSSES[setting.loss][1])
        lead = setting.loss_of(win.other) - setting.loss_of(win.better)
        if between is not None and lead - between.reach(len(candidates)) > floor:
            found.append(win)
    return sorted(found, key=lambda win: (-win.high / win.low, named(win.better)))


def _candidates(setting: Setting) -> list[Win]:
    """Return where a front of all rows is below the front of those with the usual cache, without errors."""
    usual = usual_type(setting.rows)
    rivals = [row for row in setting.rows if row["cache_type"] == usual]
    smallest = min(map(setting.bytes_of, rivals))
    front = setting.front
    ends = [*(setting.bytes_of(row) for row in front[1:]), math.inf]
    found = []
    for row, end in zip(front, ends, strict=True):
        own = [rival for rival in rivals if rival["variant_id"] == row["variant_id"]]
        if row["cache_type"] == usual or not own:
            continue
        low, high = max(setting.bytes_of(row), smallest), min(end, setting.bytes_of(own[0]))
        fitting = [rival for rival in rivals if setting.bytes_of(rival) < high]
        if low < high and fitting:
            found.append(Win(row, min(fitting, key=setting.loss_of), low, high))
    return found


def headline(scope: Scope, setting: Setting) -> str:
    """Say where another cache wins over another file, and at what memory."""
    if not setting.rows:
        return NOTHING_RUN
    usual, found = usual_type(setting.rows), wins(scope, setting)
    if found:
        return f"{found[0]} ({setting.in_words})"
    if len(cache_types(setting.rows)) == 1:
        least, most = (formats.size(end(map(setting.bytes_of, setting.rows))) for end in (min, max))
        return f"Files with {usual} cache take {least} to {most} ({setting.in_words})"
    return f"At {setting.in_words}, no other cache than {usual} wins at equal memory by more than the error"


def statements(scope: Scope, setting: Setting) -> list[Insight]:
    """Say which cache wins at which memory, what each type adds to the loss, saves in memory, and costs in time."""
    if not setting.rows:
        return []
    usual = usual_type(setting.rows)
    others = [kind for kind in cache_types(setting.rows) if kind != usual]
    files = [file for file in by_file(setting.rows) if usual in file]
    compared = [
        _where(wins(scope, setting), usual),
        _added(files, usual, others, setting.loss),
        _saved(files, usual, others, setting),
        _times(files, usual, others, "cache_decode_ms_p50", "Decode time"),
        _times(files, usual, others, "cache_decode_deep_ms_p50", "Decode time after 4,096 tokens"),
    ]
    return [_steps(setting), *(insight for insight in compared if others and insight is not None)]


def _steps(setting: Setting) -> Insight:
    """Say which type of the cache the front has, from the least memory to the most."""
    front = setting.front
    steps = []
    for kind, group in groupby(front, key=lambda row: str(row["cache_type"])):
        members = list(group)
        one = "" if len(members) > 1 else f" ({members[0]['label']})"
        steps.append(f"{kind} from {formats.size(setting.bytes_of(members[0]))}{one}")
    measure = "KLD" if setting.loss == "kld" else "perplexity"
    rule = f"the lowest measured {measure} that fits at {setting.in_words}, whatever its error: "
    names = [f"{row['label']} · {row['cache_type']}" for row in front]
    text = f"By memory, the best cache is {formats.listing(steps, 6)}."
    return Insight(text, "finding", f"{rule}{formats.listing(names, 8)}")


def _where(found: Sequence[Win], usual: str) -> Insight:
    rule = (
        "against the best file that fits with the usual cache; the lead exceeds the 95 % interval of the difference "
        "between the files' own weights, for all together"
    )
    if not found:
        return Insight(
            f"No other cache than {usual} wins at equal memory by more than the error.", "tie", rule
        )
    return Insight(f"{formats.listing([str(win) for win in found], _NAMED)}.", "finding", rule)


def _pairs(files: Sequence[dict[str, Row]], usual: str, kind: str, column: str) -> list[tuple[float, float]]:
    """Return a column's values with the usual type and with another, for the files that have both."""
    both = [(file[usual][column], file[kind][column]) for file in files if kind in file]
    return [(one, other) for one, other in both if one is not None and other is not None]


def _added(files: Sequence[dict[str, Row]], usual: str, others: Sequence[str], loss: str) -> Insight | None:
    """Say what each type adds to the loss with the usual type: the mean over files and the range."""
    write, unit = (_short, " nats") if loss == "kld" else (_per_cent, "")
    parts = []
    for kind in others:
        pairs = _pairs(files, usual, kind, LOSSES[loss][0])
        added = [other - one if loss == "kld" else math.log(other / one) for one, other in pairs]
        if added:
            low, high = write(min(added)), write(max(added))
            ends = f"{low} to {high}" if low != high else "each" if len(added) > 1 else "one file"
            parts.append(f"{kind} {write(fmean(added))}{unit} ({ends})")
    if not parts:
        return None
    of = "mean KLD from the baseline" if loss == "kld" else "perplexity"
    rule = f"mean over files and range; {len(files)} files; the differences were not paired, so they have no error"
    return Insight(f"Added to the {of} against {usual}: {formats.listing(parts, 8)}.", "finding", rule)


def _short(value: float) -> str:
    return formats.signed(value, 2)


def _per_cent(log_ratio: float) -> str:
    return formats.percent_change(log_ratio)


def _saved(
    files: Sequence[dict[str, Row]], usual: str, others: Sequence[str], setting: Setting
) -> Insight | None:
    """Say how many bytes of 1,000 tokens each type saves, and at the context."""
    parts, whole = [], []
    for kind in others:
        pairs = _pairs(files, usual, kind, "bytes_per_1000_tokens")
        saved = fmean(one - other for one, other in pairs) if pairs else 0.0
        if saved > 0:
            share = formats.percent(saved / fmean(one for one, _ in pairs), 0)
            parts.append(f"{kind} {formats.size(saved)} ({share})")
            both = [
                (setting.bytes_of(file[usual]), setting.bytes_of(file[kind]))
                for file in files
                if kind in file
            ]
            whole.append(f"{kind} {formats.size(fmean(one - other for one, other in both))}")
    if not parts:
        return None
    text = f"Saved per 1,000 tokens against {usual}: {formats.listing(parts, 8)}."
    return Insight(text, "finding", f"at {setting.in_words}: {formats.listing(whole, 8)}; mean over files")


def _times(
    files: Sequence[dict[str, Row]], usual: str, others: Sequence[str], column: str, name: str
) -> Insight | None:
    """Compare the time per token with each type: the median over files of the ratio to the usual type."""
    parts, counted = [], 0
    for kind in others:
        pairs = [(one, other) for one, other in _pairs(files, usual, kind, column) if one > 0]
        if pairs:
            parts.append(f"{kind} {formats.number(median(other / one for one, other in pairs))} ×")
            counted = max(counted, len(pairs))
    if not parts:
        return None
    rule = f"median of the ratio over files ({counted}); times are medians, without errors"
    return Insight(f"{name} against {usual}: {formats.listing(parts, 8)}.", "finding", rule)
