"""List what can be run: files, each with the types of the cache whose loss was measured in the chosen engine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.insights.comparison import change, log_ratio
from dashboard.insights.memory_need import MemoryNeed, memory_needs
from dashboard.insights.speed_order import shortest_time
from dashboard.results.cache_types import over_all_tokens
from dashboard.results.rows import Row, with_measured_error
from dashboard.results.scope import Scope
from dashboard.results.statistics import Estimate
from dashboard.style import formats

#: Context that counts if the user names none, in tokens.
USUAL_CONTEXT = 4096
#: Loss of a file as run in an engine, and of a file with a type of the cache.
_RUN_LOSS, _CACHE_LOSS = "run_kld_mean", "baseline_kld_mean"


@dataclass(frozen=True)
class Candidate:
    """A file that can be run, with a type of the cache.

    Attributes:
        row: the file.
        cache_type: the type; empty if nothing is known of it.
        named: whether the type belongs to the name, because there is a choice.
        loss: mean KLD, as run or of the file's weights, whichever all candidates have; None if not measured.
        ratio: ln of the ratio to the baseline's perplexity; None if not measured with this type.
        decode_ms: time per token; None if not measured.
        fast_ms: the fast end of the measured spread (p10) of that time; None if not measured.
        memory: what it takes to run; None if not known for the context.
        as_run: whether `loss` is that of a run in the engine.
    """

    row: Row
    cache_type: str = ""
    named: bool = False
    loss: float | None = None
    ratio: Estimate | None = None
    decode_ms: float | None = None
    fast_ms: float | None = None
    memory: MemoryNeed | None = None
    as_run: bool = False

    @property
    def label(self) -> str:
        """The file's name, with the type of the cache if there is a choice."""
        return f"{self.row['label']} with {self.cache_type} cache" if self.named else str(self.row["label"])

    @property
    def n_bytes(self) -> float:
        """What it takes to run; of the file alone if no more is known."""
        return float(self.row["size_bytes"]) if self.memory is None else self.memory.total

    @property
    def tps(self) -> float | None:
        """Decoded tokens per second at the median; None if not timed."""
        return 1000 / self.decode_ms if self.decode_ms else None

    def reaches(self, tps: float) -> bool:
        """Return whether the speed meets a limit: its median is not measurably below it."""
        return any(1000 / ms >= tps for ms in (self.decode_ms, self.fast_ms) if ms)

    @property
    def order(self) -> tuple[float, float, str, str]:
        """Sorts candidates by loss, or perplexity if that was not measured."""
        loss = self.loss if self.loss is not None else float(self.row["ln_ppl_ratio"])
        return loss, self.n_bytes, str(self.row["variant_id"]), self.cache_type

    @property
    def price(self) -> str:
        """What it loses, in words."""
        risen = f"{change(self.ratio)} perplexity" if self.ratio is not None else ""
        how = " as run" if self.as_run else ""
        lost = f"{formats.number(self.loss, 2)} nats mean KLD{how}" if self.loss is not None else ""
        return ", ".join(filter(None, [risen, lost]))


@dataclass(frozen=True)
class Candidates:
    """What can be run in an engine.

    Attributes:
        ready: files with types of the cache whose loss was measured.
        unmeasured: files with types of the cache of which only the memory is known.
        engine: the engine's name.
        context: tokens of the context that memory is counted for; None if the memory of no file is known.
        longest: the longest context that the memory of some file is known for.
        as_run: whether losses are those of runs in the engine.
    """

    ready: Sequence[Candidate]
    unmeasured: Sequence[Candidate] = ()
    engine: str = ""
    context: int | None = None
    longest: int = 0
    as_run: bool = False

    @property
    def without_memory(self) -> str:
        """Say how many files do not count because their memory is not known, if that of others is."""
        return self._without("memory", "known", [item for item in self.ready if item.memory is not None])

    @property
    def without_speed(self) -> str:
        """Say how many files do not count because their speed was not measured, if that of others was."""
        return self._without("speed", "measured", [item for item in self.ready if item.tps is not None])

    def _without(self, what: str, how: str, having: Sequence[Candidate]) -> str:
        """Say how many files are not among those `having` something, if there are any of both."""
        rest = {item.row["variant_id"] for item in self.ready} - {item.row["variant_id"] for item in having}
        if not having or not rest:
            return ""
        do = "does" if len(rest) == 1 else "do"
        return f"; {formats.plural(len(rest), 'file')} whose {what} is not {how} {do} not count"


def candidates(scope: Scope, rows: Sequence[Row], context: int | None) -> Candidates:
    """Return what can be run of `rows`, for the user's context or a usual one.

    Losses as run are used if all files have one, else those of the files' weights, and then no other type of the
    cache counts: a loss of one kind does not compare with one of the other.
    """
    engine, needs = scope.engine, memory_needs(scope.results)
    longest = max((needs.longest(row["variant_id"], engine) for row in rows), default=0)
    tokens = (context or min(USUAL_CONTEXT, longest)) if longest else None
    as_run = bool(rows) and all(_is_number(row[_RUN_LOSS]) for row in rows)
    caches = _caches(scope, engine) if as_run else {}
    several = len({kind for of_file in caches.values() for kind in of_file}) > 1
    ready: list[Candidate] = []
    unmeasured: list[Candidate] = []
    for row in rows:
        name = row["variant_id"]
        types = needs.types(name, engine)
        own = own_type(scope, types)
        measured = caches.get(name, {})
        for kind in dict.fromkeys((own, *types, *measured)):
            cache = over_all_tokens(measured.get(kind, {}), row)
            memory = needs.at(name, engine, kind, tokens) if tokens is not None else None
            usual = kind == own
            made = Candidate(
                row,
                kind,
                named=bool(kind) and (several or not usual),
                loss=(row[_RUN_LOSS] if as_run else row["kld_mean"]) if usual else cache.get(_CACHE_LOSS),
                ratio=log_ratio(row) if usual else _ratio(cache),
                decode_ms=row["run_decode_ms_p50"] if usual else cache.get("decode_ms_p50"),
                fast_ms=shortest_time(scope.results, row) if usual else None,
                memory=memory,
                as_run=as_run,
            )
            (ready if usual or _is_number(made.loss) else unmeasured).append(made)
    return Candidates(ready, unmeasured, engine, tokens, longest, as_run)


def _caches(scope: Scope, engine: str) -> dict[str, dict[str, Row]]:
    """Return the rows of types of the cache in an engine, by variant and type."""
    frame = scope.results.kv_cache()
    found: dict[str, dict[str, Row]] = {}
    for row in [] if frame is None else frame.filter(engine=engine).to_dicts():
        found.setdefault(row["variant_id"], {})[row["cache_type"]] = row
    return found


def own_type(scope: Scope, types: Sequence[str]) -> str:
    """Return the type of the cache that files were timed with: an engine's setting, else its largest type."""
    settings = scope.results.manifest.engines.get(scope.engine, {})
    return str(settings.get("cache") or (types[0] if types else ""))


def _ratio(cache: Row) -> Estimate | None:
    """Return ln of the ratio to the baseline's perplexity with a type of the cache; None if it was not measured."""
    name = "baseline_ln_ppl_ratio"
    if not _is_number(cache.get(name)):
        return None
    return with_measured_error(cache, name, f"{name}_se")


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
