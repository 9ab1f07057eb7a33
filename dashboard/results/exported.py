"""Build the frames that views export: the variants' identity and the columns a view draws."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from dashboard.results.engines import run_columns
from dashboard.results.scope import Scope
from evaluator.metrics import columns_of

#: Function from a scope to the frame a view exports.
Exported = Callable[[Scope], pl.DataFrame]
_WHO = ("variant_id", "method", "quant")
_IDENTITY = (
    *_WHO[:1],
    "model",
    *_WHO[1:],
    "is_baseline",
    "device",
    "bits_per_weight",
    "size_bytes",
    "n_tokens",
)


def variants(scope: Scope) -> pl.DataFrame:
    """Return baselines, then variants, with all columns; empty if nothing is selected."""
    rows = scope.frame
    ids = rows["baseline_id"].unique().to_list()
    bases = scope.baselines.filter(pl.col("variant_id").is_in(ids))
    return pl.concat([bases, rows]).drop("label", "twin", *run_columns())


def variants_with(*names: str) -> Exported:
    """Return a function that exports the columns `names` of the variants, each with its error columns."""

    def exported(scope: Scope) -> pl.DataFrame:
        known, frame = columns_of(), variants(scope)
        named = [column.name for name in names for column in known[name].with_errors()]
        return frame.select(name for name in (*_IDENTITY, *named) if name in frame.columns)

    return exported


def per_variant(of: Callable[[Scope, str], pl.DataFrame | None]) -> Exported:
    """Return a function that exports one frame per variant, joined with the variant's names; `of` takes its id."""

    def exported(scope: Scope) -> pl.DataFrame:
        names = scope.frame.select(_WHO)
        frames = [
            pl.concat([pl.concat([row] * frame.height), frame], how="horizontal")
            for row in names.iter_slices(1)
            if (frame := of(scope, str(row.item(0, "variant_id")))) is not None and frame.height
        ]
        return pl.concat(frames) if frames else names.clear()

    return exported


def layers(scope: Scope) -> pl.DataFrame:
    """Return errors per layer and role of the selected variants, with the variants' names."""
    names = scope.frame.select(_WHO)
    frame = scope.layers()
    if frame is None:
        return names.clear()
    return frame.join(names, on="variant_id", how="inner").sort(
        "method", "quant", "variant_id", "layer", "role"
    )


def caches(scope: Scope) -> pl.DataFrame:
    """Return `kv_cache.parquet` of the selected variants, with their names; without it no rows."""
    names, frame = scope.frame.select(_WHO), scope.kv_cache()
    if frame is None:
        return names.clear()
    joined = names.join(frame, on="variant_id", how="inner")
    return joined.sort("method", "quant", "variant_id", "engine", "cache_type")


@per_variant
def distributions(scope: Scope, variant_id: str) -> pl.DataFrame | None:
    """Return the distribution of a variant's Δ log p; see `DeltaSummary.frame`."""
    summary = scope.delta(variant_id)
    return None if summary is None else summary.frame()
