"""Rows of `layers.parquet`: measured with the scores, or added by an attribution."""

from __future__ import annotations

import polars as pl

from evaluator.results.schema import Layers, conform, with_schema

_PLACE = ["variant_id", "layer", "role"]


def attributed(rows: pl.DataFrame, attribution: pl.DataFrame) -> pl.DataFrame:
    """Return rows with the `attribution_kld` of others, whose places without a row get one of nulls.

    Args:
        rows: a variant's rows; their own attribution is dropped.
        attribution: rows of the same variant, of which only the attribution is taken.
    """
    losses = conform(Layers, attribution).select(*_PLACE, "attribution_kld")
    others = conform(Layers, rows).drop("attribution_kld")
    return with_schema(Layers, others.join(losses, on=_PLACE, how="full", coalesce=True).sort(_PLACE))


def measured_matrices(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of measured matrices: an attribution alone does not know a matrix's type."""
    return rows.drop_nulls("quant_type")
