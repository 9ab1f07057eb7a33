"""Files as they run in an engine with types of cached keys and values: their loss, memory and times."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

from dashboard.results.rows import Row, with_measured_error
from dashboard.results.scope import Scope
from dashboard.results.statistics import Estimate

#: Put before the names of the columns of `kv_cache.parquet`, as the variants frame has some of the same names.
_PREFIX = "cache_"
_KEPT = ("variant_id", "engine", "cache_type", "bytes_per_1000_tokens")
#: The type that engines use unless they are told otherwise.
_USUAL = "f16"


def with_caches(scope: Scope) -> list[Row]:
    """Return the selected variants' rows once per measured type of the cache, the largest cache first.

    All values are over all tokens. The columns of `kv_cache.parquet` begin with `cache_`, except the keys and
    `bytes_per_1000_tokens`. They are of the chosen engine or, if it has none, of the one with the most.
    """
    caches = scope.kv_cache()
    if caches is None or caches.is_empty():
        return []
    engines = (
        caches["engine"].value_counts().sort("count", "engine", descending=[True, False])["engine"].to_list()
    )
    ours = caches.filter(engine=scope.engine if scope.engine in engines else engines[0])
    ours = ours.rename({name: f"{_PREFIX}{name}" for name in ours.columns if name not in _KEPT})
    everything = scope.narrowed(domains=frozenset(), bins=frozenset())
    rows = everything.frame.join(ours, on="variant_id", how="inner").to_dicts()
    order = {kind: place for place, kind in enumerate(cache_types(rows))}
    return sorted(rows, key=lambda row: (row["method"], row["variant_id"], order[row["cache_type"]]))


def cache_types(rows: Sequence[Row]) -> list[str]:
    """Return the types of the cache, that with the most bytes per token first; those without bytes last."""
    sizes: dict[str, float] = {}
    for row in rows:
        kind = str(row["cache_type"])
        sizes[kind] = max(sizes.get(kind, 0.0), row["bytes_per_1000_tokens"] or 0.0)
    return sorted(sizes, key=lambda kind: (-sizes[kind], kind != _USUAL, kind))


def usual_type(rows: Sequence[Row]) -> str:
    """Return the type that others are compared with: f16, or the largest if that was not measured."""
    kinds = cache_types(rows)
    return _USUAL if _USUAL in kinds else kinds[0]


def by_file(rows: Iterable[Row]) -> list[dict[str, Row]]:
    """Return the rows of each file, by type of the cache."""
    ordered = sorted(rows, key=lambda row: str(row["variant_id"]))
    return [
        {str(row["cache_type"]): row for row in group}
        for _, group in groupby(ordered, key=lambda row: row["variant_id"])
    ]


def loss_from_file(row: Row) -> Estimate:
    """Return the KLD from the file's exact weights, what the engine and the cache add, in nats."""
    return with_measured_error(row, "cache_kld_mean", "cache_kld_se")


def loss_from_baseline(row: Row) -> Estimate:
    """Return the KLD from the baseline's exact weights in nats."""
    return with_measured_error(row, "cache_baseline_kld_mean", "cache_baseline_kld_se")


def ppl_half(row: Row) -> float:
    """Return half the 95 % interval of ln PPL, paired with the baseline's; infinite if that was not measured."""
    if row["cache_baseline_ln_ppl_ratio"] is None:
        return math.inf
    paired = with_measured_error(row, "cache_baseline_ln_ppl_ratio", "cache_baseline_ln_ppl_ratio_se")
    return paired.half
