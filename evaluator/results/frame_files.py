"""Reads frames that lie on a disk, where anything may have happened to them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from dataframely import Schema

from evaluator.support.errors import RequestError

#: What to do about a damaged file that nothing else can bring back, and about one that follows from others.
MEASURE_ANEW = "measure anew with run --force"
DELETE_IT = "delete it: the same run makes it anew"


def read_frame(path: Path, schema: type[Schema], way_out: str = MEASURE_ANEW) -> pl.DataFrame:
    """A frame as it was written, not validated again, but with all columns of `schema` in their types.

    Nullable columns that it lacks are null: they were not measured when it was written.

    Args:
        path: the file.
        schema: what it holds.
        way_out: what to advise where it is damaged and there is no copy of it.

    Raises:
        RequestError: it cannot be read, or lacks a column that every frame of `schema` has.
    """
    types = schema.create_empty().schema
    nullable = {name for name, column in schema.columns().items() if column.nullable}
    try:
        frame = pl.read_parquet(path)
        if any(name not in frame.columns for name in types if name not in nullable):
            raise _damaged(path, way_out)
        absent = [pl.lit(None, types[name]).alias(name) for name in types if name not in frame.columns]
        whole = frame.with_columns(absent)
        return whole.with_columns(
            pl.col(name).cast(kind) for name, kind in types.items() if whole.schema[name] != kind
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise _damaged(path, way_out) from error


def _damaged(path: Path, way_out: str) -> RequestError:
    return RequestError(f"{path}: is damaged; put a sound copy in its place, or {way_out}")
