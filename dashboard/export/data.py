"""Frames as CSV and Parquet files."""

from __future__ import annotations

import io
from typing import Literal

import polars as pl
import polars.selectors as cs

#: File types that `encode` writes.
DataFormat = Literal["csv", "parquet"]
_FORMULA = "^[=+@\t-]"


def encode(frame: pl.DataFrame, form: DataFormat) -> bytes:
    """Return a frame as CSV (UTF-8, with header, empty for null) or Parquet.

    Spreadsheets run a text in a CSV as a formula if it begins with `=`, `+`, `-` or `@`. Such texts get an
    apostrophe in front; numbers stay as they are. Lists become numbers with spaces between them.
    """
    if form == "csv":
        texts = pl.col(pl.String, pl.Categorical, pl.Enum).cast(pl.String)
        lists = cs.list().list.eval(pl.element().cast(pl.String)).list.join(" ", ignore_nulls=False)
        return frame.with_columns(texts.str.replace(_FORMULA, "'$0"), lists).write_csv().encode()
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()
