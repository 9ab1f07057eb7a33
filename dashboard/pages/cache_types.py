"""A folded table of compared files with each type of the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dash import html
from dash.development.base_component import Component

from dashboard.pages.folds import fold
from dashboard.results.cache_types import cache_types as kinds_of
from dashboard.results.cache_types import loss_from_baseline, loss_from_file, tokens_in_words, with_caches
from dashboard.results.engines import in_words
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.results.statistics import Estimate
from dashboard.style import formats

_HEADS = (
    "Cache",
    "File",
    "KLD from baseline",
    "from the file",
    "PPL",
    "1,000 tokens",
    "Decode",
    "after 4,096",
)
_NAMES = "ABCDEFGH"


def cache_types(scope: Scope, files: Sequence[Row]) -> list[Component]:
    """Return a folded box with a row per type of the cache and file; empty if none was measured."""
    names = {str(row["variant_id"]): _NAMES[place] for place, row in enumerate(files)}
    rows = with_caches(replace(scope, selection=Selection.of(only=names, engine=scope.selection.engine)))
    if not rows:
        return []
    order = list(names)
    lines = [
        _line(row, names[row["variant_id"]])
        for kind in kinds_of(rows)
        for row in sorted(rows, key=lambda row: order.index(row["variant_id"]))
        if row["cache_type"] == kind
    ]
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in _HEADS]))
    table = html.Table([head, html.Tbody(lines)], className="table compare-table")
    hint = (
        f"As run in {in_words(rows[0]['engine'])}: KLD in nats from the exact weights of the baseline and of the "
        "file, bytes of 1,000 tokens in the cache, and decode time in ms per token, after the prompt and after 4,096 "
        f"tokens; {tokens_in_words(rows)}."
    )
    summary = html.Summary(html.H2(f"Types of the cache ({len(kinds_of(rows))})"))
    folded = fold("caches", summary, [html.P(hint, className="hint"), table], "folded")
    return [html.Section(folded, className="box table-box")]


def _loss(loss: Estimate) -> str:
    return formats.with_error(loss.value, loss.half)


def _line(row: Row, name: str) -> Component:
    cells = (
        _loss(loss_from_baseline(row)),
        _loss(loss_from_file(row)),
        formats.number(row["cache_ppl"], 4),
        formats.size(row["bytes_per_1000_tokens"]),
        formats.number(row["cache_decode_ms_p50"]),
        formats.number(row["cache_decode_deep_ms_p50"]),
    )
    return html.Tr([html.Th(row["cache_type"], scope="row"), html.Td(name), *map(html.Td, cells)])
