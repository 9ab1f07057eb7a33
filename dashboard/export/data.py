"""The numbers behind a view, as a frame: what is drawn, under the same selection."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Literal

import polars as pl

from dashboard.results.scope import Scope

#: File types that `encode` writes.
DataFormat = Literal["csv", "parquet"]
_FORMULA = "^[=+@\t-]"
_IDENTITY = (
    "variant_id",
    "model",
    "method",
    "quant",
    "is_baseline",
    "device",
    "bits_per_weight",
    "size_bytes",
    "n_tokens",
)
_PPL = ("ppl", "ppl_se", "ppl_se_clustered", "ln_ppl_ratio", "ln_ppl_ratio_se", "ln_ppl_ratio_se_clustered")
_KLD = ("kld_mean", "kld_se", "kld_se_clustered", "kld_median", "kld_p990", "kld_p999")
_TOP = ("same_top", "same_top_se", "same_top_se_clustered")
_SPEED = ("prefill_tps", "decode_ms_p10", "decode_ms_p50", "decode_ms_p90", "load_s", "peak_rss_bytes")
#: Columns of the variants frame that a view draws; a view named nowhere draws any.
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "ppl-bits": _PPL,
    "degradation": (*_PPL, *_KLD, *_TOP),
    "speed": (*_SPEED, *_KLD[:3], "deploy_kld_mean"),
    "size": ("inv_ppl_per_mb", *_PPL),
}


def view_data(scope: Scope, slug: str) -> pl.DataFrame:
    """Return the frame behind the view `slug`; without rows where the view has nothing to draw."""
    special = _FRAMES.get(slug)
    return special(scope) if special is not None else _variants(scope, slug)


def encode(frame: pl.DataFrame, form: DataFormat) -> bytes:
    """Write a frame as CSV (UTF-8, a header, empty for null) or Parquet.

    A spreadsheet takes a text in a CSV that begins with a sign for a formula and runs it: an apostrophe before it
    keeps it a text. Numbers stay as they are.
    """
    if form == "csv":
        texts = pl.col(pl.String, pl.Categorical, pl.Enum).cast(pl.String)
        return frame.with_columns(texts.str.replace(_FORMULA, "'$0")).write_csv().encode()
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _variants(scope: Scope, slug: str = "") -> pl.DataFrame:
    """Baselines, then variants: who they are and what the view draws of them."""
    rows = scope.frame
    ids = rows["baseline_id"].unique().to_list()
    bases = scope.baselines.filter(pl.col("variant_id").is_in(ids))
    frame = pl.concat([bases, rows])
    if slug not in _COLUMNS:
        return frame.drop("label", "twin")
    return frame.select(name for name in (*_IDENTITY, *_COLUMNS[slug]) if name in frame.columns)


def _layers(scope: Scope) -> pl.DataFrame:
    """Errors per layer and role of the selected variants, with the variants' names."""
    names = scope.frame.select("variant_id", "method", "quant")
    frame = scope.layers()
    if frame is None:
        return names.clear()
    order = ("method", "quant", "variant_id", "layer", "role")
    return frame.join(names, on="variant_id", how="inner").sort(order)


def _confidence(scope: Scope) -> pl.DataFrame:
    """Token counts per bin of the variant's own confidence (`bin0`…`bin4`), a row per bin of the baseline's."""
    return _per_variant(
        scope,
        scope.bins,
    )


def _delta(scope: Scope) -> pl.DataFrame:
    """Percentiles (position in %, value in nats) and the density (position in nats, value per nat) of Δ log p."""

    def curves(variant_id: str) -> pl.DataFrame | None:
        summary = scope.delta(variant_id)
        if summary is None:
            return None
        marks = [("percentile", at, mark.value) for at, mark in sorted(summary.percentiles.items())]
        drawn = zip(summary.linear.x.tolist(), summary.linear.density.tolist(), strict=True)
        rows = [*marks, *(("density", at, height) for at, height in drawn)]
        return pl.DataFrame(rows, schema=["quantity", "position", "value"], orient="row")

    return _per_variant(scope, curves)


def _per_variant(scope: Scope, of: Callable[[str], pl.DataFrame | None]) -> pl.DataFrame:
    """Stack a frame per variant under the variants' names."""
    names = scope.frame.select("variant_id", "method", "quant")
    frames = [
        pl.concat([pl.concat([row] * found.height), found], how="horizontal")
        for row in names.iter_slices(1)
        if (found := of(str(row.item(0, "variant_id")))) is not None and found.height
    ]
    return pl.concat(frames) if frames else names.clear()


_FRAMES: Mapping[str, Callable[[Scope], pl.DataFrame]] = {
    "layers": _layers,
    "confidence": _confidence,
    "delta-logp": _delta,
}
