"""Names that others chose, of models, methods, types and texts: fit to be shown, on the page and in figures.

Plotly reads `<…>` and `&…;` in every text of a figure as markup, and `%{…}` as a template, so a name goes into a
figure through `in_figure`, and comes back out of one through `out_of_figure`.
"""

from __future__ import annotations

import html
import re
from typing import TypeVar

import polars as pl
import pydantic

_ModelT = TypeVar("_ModelT", bound=pydantic.BaseModel)
#: White space that would break a line, and what has no place in a name: control characters, which XML does not take
#: either, characters that turn the direction of what follows, and halves of characters.
_SPACE, _UNFIT = (
    "[\t\n\r\u0085\u2028\u2029]",
    "[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]",
)
_HALVES = re.compile("[\ud800-\udfff]")
_MARK = "\ufffd"
#: Columns and fields that name files, or hold text and not names.
_AS_THEY_ARE = frozenset({"variant_id", "a", "b", "baseline_id", "piece"})
#: Most characters of a name in a legend, at an axis, above a panel and at a point.
LEGEND, TICK, TITLE, POINT = 32, 18, 28, 20


def clean(text: str) -> str:
    """Put a visible mark in the place of what cannot be shown, and a space in that of a line's end."""
    return _HALVES.sub(_MARK, re.sub(_UNFIT, _MARK, re.sub(_SPACE, " ", text)))


def clean_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """Clean all names of a frame; ids of variants, which name files, stay as they are."""
    names = [n for n, kind in frame.schema.items() if kind == pl.String and n not in _AS_THEY_ARE]
    return frame.with_columns(
        pl.col(names).str.replace_all(_SPACE, " ").str.replace_all(_UNFIT, _MARK) if names else []
    )


def clean_model(model: _ModelT) -> _ModelT:
    """Clean all texts of a record, at any depth, but ids of variants."""
    return type(model).model_validate(_cleaned(model.model_dump()))


def _cleaned(value: object) -> object:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(name): part if name in _AS_THEY_ARE else _cleaned(part) for name, part in value.items()}
    return [_cleaned(part) for part in value] if isinstance(value, list) else value


def short(name: str, most: int) -> str:
    """Leave out the middle of a name that is longer than `most` characters: its ends tell names apart."""
    if len(name) <= most:
        return name
    ahead = (most - 1) * 2 // 3
    return f"{name[:ahead]}…{name[ahead + 1 - most :]}"


def in_figure(name: str, most: int | None = None) -> str:
    """Return a name for a figure, where it is read as it is; shortened to `most` characters."""
    text = name if most is None else short(name, most)
    return html.escape(text, quote=False).replace("%{", "%&#123;")


def out_of_figure(text: str) -> str:
    """Return a name as it was before `in_figure`."""
    return html.unescape(text)
