"""Files as they run in an engine with types of cached keys and values: their loss, memory and times."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from dashboard.results.rows import Row, with_measured_error
from dashboard.results.scope import Scope
from dashboard.results.statistics import Estimate
from dashboard.style import formats

#: Put before the names of the columns of `kv_cache.parquet`, as the variants frame has some of the same names.
_PREFIX = "cache_"
_KEPT = ("variant_id", "engine", "cache_type", "bytes_per_1000_tokens", "n_windows")
#: Losses from the baseline: the beginnings of the names of their value and errors, of the file's own loss, and of the
#: change that running makes to it.
_MOVED = (("baseline_kld", "kld", "kld_change"), ("baseline_ln_ppl_ratio", "ln_ppl_ratio", "ln_ppl_ratio"))
#: The type that engines use unless they are told otherwise.
_USUAL = "f16"


def with_caches(scope: Scope) -> list[Row]:
    """Return the selected variants' rows once per measured type of the cache, the largest cache first.

    All values are over all tokens; see `over_all_tokens`. The columns of `kv_cache.parquet` begin with `cache_`,
    except the keys, `bytes_per_1000_tokens` and `n_windows`. They are of the chosen engine or, if it has none, of the
    one with the most.
    """
    caches = scope.kv_cache()
    if caches is None or caches.is_empty():
        return []
    engines = (
        caches["engine"].value_counts().sort("count", "engine", descending=[True, False])["engine"].to_list()
    )
    ours = caches.filter(engine=scope.engine if scope.engine in engines else engines[0])
    everything = scope.narrowed(domains=frozenset(), bins=frozenset())
    files = {row["variant_id"]: row for row in everything.rows}
    rows = []
    for run in ours.to_dicts():
        file = files[run["variant_id"]]
        values = over_all_tokens(run, file).items()
        rows.append(file | {name if name in _KEPT else f"{_PREFIX}{name}": value for name, value in values})
    order = {kind: place for place, kind in enumerate(cache_types(rows))}
    return sorted(rows, key=lambda row: (row["method"], row["variant_id"], order[row["cache_type"]]))


def over_all_tokens(run: Row, file: Row) -> Row:
    """Return a row of `kv_cache.parquet` with losses from the baseline over all tokens, and `n_windows`, those run.

    `file` is its row of the variants frame, over all tokens. Where the engine ran only some of the windows, a loss is
    that of the file plus the change on those tokens, as in `as_run`, and their errors are added as if independent.
    """
    whole, windows = file.get("n_tokens"), file.get("n_windows")
    if not (ran := run.get("n_tokens")) or not whole or ran >= whole:
        return run | {"n_windows": windows}
    moved: Row = {"n_windows": round(windows * ran / whole) if windows else windows}
    for loss, own, change in _MOVED:
        mean = "_mean" if own == "kld" else ""
        moved[f"{loss}{mean}"] = _both(file[f"{own}{mean}"], run[change], lambda one, other: one + other)
        for end in ("_se", "_se_clustered"):
            moved[f"{loss}{end}"] = _both(file.get(f"{own}{end}"), run[f"{change}{end}"], math.hypot)
    moved["ppl"] = _both(file["ppl"], run["ln_ppl_ratio"], lambda one, other: one * math.exp(other))
    return run | moved


def _both(one: float | None, other: float | None, combine: Callable[[float, float], float]) -> float | None:
    return None if one is None or other is None else combine(one, other)


def tokens_in_words(rows: Iterable[Row]) -> str:
    """Say over which tokens the losses of `with_caches` are."""
    some = [ran for row in rows if (ran := row["cache_n_tokens"]) and ran < row["n_tokens"]]
    if not some:
        return "losses as run are over all tokens"
    on = f"{formats.count(min(some))} of them"
    return f"losses as run are those of the files over all tokens, and what running changed on {on}"


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
