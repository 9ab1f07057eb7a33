"""Reads frames that lie on a disk, where anything may have happened to them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from dataframely import Schema

from evaluator.errors import RequestError


def read_frame(path: Path, schema: type[Schema]) -> pl.DataFrame:
    """A frame as it was written, not validated again.

    Raises:
        RequestError: it cannot be read, or lacks a column that every frame of `schema` has.
    """
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise _damaged(path) from error
    if any(name not in frame.columns for name, column in schema.columns().items() if not column.nullable):
        raise _damaged(path)
    return frame


def _damaged(path: Path) -> RequestError:
    return RequestError(
        f"{path}: is damaged; put a sound copy in its place, or measure anew with run --force"
    )
