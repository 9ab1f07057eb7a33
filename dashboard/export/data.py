"""Frames as files that other programs read."""

from __future__ import annotations

import io
from typing import Literal

import polars as pl

#: File types that `encode` writes.
DataFormat = Literal["csv", "parquet"]
_FORMULA = "^[=+@\t-]"


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
