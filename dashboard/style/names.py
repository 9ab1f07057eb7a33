"""Make names of models, methods, types and texts from result files safe to show, on the page and in figures.

Plotly reads `<…>` and `&…;` in a figure's texts as markup, and `%{…}` as a template: `in_figure` escapes a name, and
`out_of_figure` reverses that.
"""

from __future__ import annotations

import html
import re
import textwrap
from typing import TypeVar

import polars as pl
import pydantic

_ModelT = TypeVar("_ModelT", bound=pydantic.BaseModel)
#: White space that breaks lines, and characters that must not be in a name: control characters (invalid in XML too)
#: and characters that change the text direction.
_SPACE, _UNFIT = (
    "[\t\n\r\u0085\u2028\u2029]",
    "[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]",
)
#: Lone surrogates.
_HALVES = re.compile("[\ud800-\udfff]")
_MARK = "\ufffd"
#: Columns and fields that are not cleaned: ids, which name files, and pieces of text.
_AS_THEY_ARE = frozenset({"variant_id", "a", "b", "baseline_id", "piece"})
#: Longest name in a legend, at an axis (also in a narrow window), above a panel and at a point, in characters.
LEGEND, TICK, NARROW, TITLE, POINT = 32, 18, 18, 28, 20


def clean(text: str) -> str:
    """Replace characters that cannot be shown with a visible mark, and line breaks with spaces."""
    return _HALVES.sub(_MARK, re.sub(_UNFIT, _MARK, re.sub(_SPACE, " ", text)))


def clean_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """Clean all names in a frame; variant ids, which name files, stay as they are."""
    names = [n for n, kind in frame.schema.items() if kind == pl.String and n not in _AS_THEY_ARE]
    return frame.with_columns(
        pl.col(names).str.replace_all(_SPACE, " ").str.replace_all(_UNFIT, _MARK) if names else []
    )


def clean_model(model: _ModelT) -> _ModelT:
    """Clean all texts of a record at any depth, except variant ids."""
    return type(model).model_validate(_cleaned(model.model_dump()))


def _cleaned(value: object) -> object:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(name): part if name in _AS_THEY_ARE else _cleaned(part) for name, part in value.items()}
    return [_cleaned(part) for part in value] if isinstance(value, list) else value


def short(name: str, most: int) -> str:
    """Shorten a name to `most` characters by cutting its middle; names usually differ at their ends."""
    if len(name) <= most:
        return name
    ahead = (most - 1) * 2 // 3
    return f"{name[:ahead]}…{name[ahead + 1 - most :]}"


def broken(text: str, most: int) -> str:
    """Break a figure's text between words into lines of at most `most` characters, or of one word."""
    return "<br>".join(textwrap.wrap(text, most, break_long_words=False, break_on_hyphens=False))


def in_figure(name: str, most: int | None = None) -> str:
    """Escape a name for a figure, shortened to `most` characters."""
    text = name if most is None else short(name, most)
    return html.escape(text, quote=False).replace("%{", "%&#123;")


def out_of_figure(text: str) -> str:
    """Reverse `in_figure`."""
    return html.unescape(text)
