"""Frames as CSV and Parquet files."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Literal

import polars as pl
import polars.selectors as cs

from dashboard.results.exported import Exported, caches

#: File types that `encode` writes.
DataFormat = Literal["csv", "parquet"]
#: Frames to export besides those of the views, by name.
FRAMES: Mapping[str, Exported] = {"kv_cache": caches}
_FORMULA = "^[=+@\t-]"


def encode(frame: pl.DataFrame, form: DataFormat) -> bytes:
    """Return a frame as CSV (UTF-8, with header, empty for null) or Parquet.

    Spreadsheets run a text in a CSV as a formula if it begins with `=`, `+`, `-` or `@`. Such texts get an
    apostrophe in front; numbers stay as they are. Lists become their items with spaces between them, `null` for
    a missing one, so that an item keeps its place.
    """
    if form == "csv":
        texts = cs.string() | cs.categorical() | cs.enum()
        lists_of_texts = cs.list(texts)
        written = [
            _guarded(texts.cast(pl.String)),
            _guarded(_joined(lists_of_texts)),
            _joined(cs.list() - lists_of_texts),
        ]
        return frame.with_columns(written).write_csv().encode()
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _guarded(texts: pl.Expr) -> pl.Expr:
    return texts.str.replace(_FORMULA, "'$0")


def _joined(lists: pl.Expr) -> pl.Expr:
    return lists.list.eval(pl.element().cast(pl.String).fill_null("null")).list.join(" ")
