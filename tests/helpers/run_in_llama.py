"""Files written by hand that were run in llama.cpp, and what is known of their memory and types of the cache."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import polars as pl
from variant_rows import row

from dashboard.insights.advising import Need, advise
from dashboard.insights.candidates import Candidates, candidates
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from evaluator.results.schema import KvCache, Memory, frame_of

MB = 1_000_000
#: Two files of 5 and 8 MB whose losses as run are 0.030 and 0.010 nats with f16; a context of 8,192 takes 4 MB there.
FILES = [
    row("a", "Q5", 5, 0.02, run_kld_mean=0.030, run_decode_ms_p50=20.0),
    row("a", "Q8", 8, 0.001, run_kld_mean=0.010, run_decode_ms_p50=40.0),
]
MEMORY = [
    (f"a-{name}", kind, context, size * MB, cache * context * MB // 8192, MB)
    for name, size in (("Q5", 5), ("Q8", 8))
    for kind, cache in (("f16", 4), ("q8_0", 2), ("q4_0", 1))
    for context in (512, 8192)
]
#: The loss of q8_0 was measured, that of q4_0 was not.
CACHES = [
    {"variant_id": f"a-{name}", "cache_type": kind, "baseline_kld_mean": loss, "decode_ms_p50": ms}
    for name, losses in (("Q5", (0.030, 0.032)), ("Q8", (0.010, 0.012)))
    for kind, loss, ms in zip(("f16", "q8_0"), losses, (20.0, 25.0), strict=True)
]


class Folder:
    """A folder whose files were run in llama.cpp, with what is known of their memory and types of the cache."""

    manifest = SimpleNamespace(engines={"llama.cpp": {"cache": "f16"}})

    def __init__(self, memory: list[tuple[Any, ...]] = [], caches: list[dict[str, Any]] = []) -> None:  # noqa: B006
        keys = ("variant_id", "cache_type", "context", "weights_bytes", "cache_bytes", "compute_bytes")
        named = [dict(zip(keys, values, strict=True)) | {"engine": "llama.cpp"} for values in memory]
        self._memory = frame_of(Memory, named)
        self._caches = frame_of(KvCache, [{"engine": "llama.cpp", **values} for values in caches])

    def engine(self, _selection: object) -> str:
        return "llama.cpp"

    def memory(self) -> pl.DataFrame:
        return self._memory

    def speed(self, _engine: object) -> None:
        return None

    def kv_cache(self) -> pl.DataFrame:
        return self._caches

    def memoized(self, _key: str, compute: Any) -> Any:
        return compute()


def alone(rows: list[dict[str, Any]], folder: Folder | None = None, context: int | None = None) -> Candidates:
    return candidates(Scope(cast(Results, folder or Folder()), Selection()), rows, context)


FULL = Folder(MEMORY, CACHES)


def told(folder: Folder = FULL, rows: list[dict[str, Any]] = FILES, **need: Any) -> Any:
    wanted = Need(**need)
    return advise(alone(rows, folder, wanted.context), wanted)
