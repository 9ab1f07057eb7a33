"""Every variant and every measured column as a table to sort, filter, pick from and save."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import dash_ag_grid as dag
import polars as pl
import polars.selectors as cs
from dash import html
from dash.development.base_component import Component

from dashboard.insights import Insight
from dashboard.insights.failures import failures
from dashboard.insights.faults import warnings
from dashboard.pages import column_menu
from dashboard.pages.parts import empty_notice
from dashboard.results.results import ADDED, Results
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.style import columns, formats
from evaluator.metrics import columns_of, metric_families
from evaluator.metrics.columns import Column
from evaluator.results.schema import Variants

_HIDDEN = {*ADDED, "variant_id", "sha256", "is_baseline"} - {"failure"}
#: Text columns, which belong to no metric family: heading and meaning.
_TEXTS = {
    "model": ("Model", "the model that was quantized"),
    "method": ("Method", "the publisher or method that made the file"),
    "quant": ("Type", "the name of the quantization type"),
    "source": ("Source", "the file"),
    "device": ("Device", "the kind of device it was measured on"),
    "provider": ("Provider", "the onnxruntime provider that ran it"),
    "failure": ("Failure", "why the measured values are unusable"),
}
_MORE = "More"
#: The page's colours, so that the table follows the theme.
_COLOURS = {
    "backgroundColor": "var(--surface)",
    "foregroundColor": "var(--ink)",
    "borderColor": "var(--line)",
    "headerBackgroundColor": "var(--raised)",
    "headerTextColor": "var(--soft)",
    "chromeBackgroundColor": "var(--raised)",
    "oddRowBackgroundColor": "var(--surface)",
    "accentColor": "var(--accent)",
    "fontFamily": "inherit",
    "fontSize": "0.8rem",
}
#: Pixels: minimum width of a column, width of a heading's character, and padding with the filter icon.
_NARROWEST, _CHARACTER, _AROUND = 110, 8, 58
#: Format of a number without a unit: five significant digits, with an exponent outside 10⁻⁵ to 10⁷.
_NUMBER = (
    "params.value == null ? '' : d3.format("
    "params.value !== 0 && (Math.abs(params.value) >= 1e7 || Math.abs(params.value) < 1e-5) ? '.4e' : '.5r'"
    ")(params.value)"
)


def headline(scope: Scope) -> str:
    """Count the table's variants and measured columns."""
    rows = scope.frame
    measured = set(_measured(rows)) - {*_HIDDEN, "failure"}
    return f"{formats.plural(rows.height, 'variant')}, {formats.plural(len(measured), 'measured column')}"


def body(scope: Scope) -> Component:
    """Return the table; its ticked rows are the picked variants."""
    rows = scope.frame
    if rows.is_empty():
        return empty_notice()
    baselines = scope.baselines
    shown = _measured(rows)
    fixed, *groups = _columns(rows, shown)
    names = column_menu.chosen(scope, shown)
    grid = dag.AgGrid(
        id="grid",
        rowData=_records(rows, shown),
        columnDefs=[fixed, *(column_menu.keep(groups, names) if names else groups)],
        defaultColDef={"sortable": True, "filter": True, "resizable": True, "minWidth": 90},
        getRowId="params.data.variant_id",
        selectedRows={"ids": sorted(scope.selection.picked & set(rows["variant_id"].to_list()))},
        dashGridOptions={
            "theme": {"function": f"themeQuartz.withParams({json.dumps(_COLOURS)})"},
            "rowSelection": {"mode": "multiRow", "headerCheckbox": True, "enableClickSelection": False},
            "selectionColumnDef": {"pinned": "left", "width": 44},
            "pinnedTopRowData": _records(baselines, shown),
            "rowHeight": 30,
            "headerHeight": 30,
            "groupHeaderHeight": 28,
            "animateRows": False,
            "tooltipShowDelay": 300,
        },
        className="grid",
        style={"height": "100%"},
    )
    save = html.Button(
        "Save as CSV",
        type="button",
        className="tool",
        id="grid-csv",
        title=f"The rows shown, in this order, with {'the chosen' if names else 'all'} columns",
        **{"data-file": f"{scope.results.folder.resolve().name}-variants.csv"},
    )
    hint = html.Span(
        "Baselines stay on top. Click a group's heading to show all its columns.", className="hint"
    )
    tools = [hint, column_menu.menu(groups, names), *_more_to_save(scope), save]
    return html.Div([html.Div(tools, className="grid-tools"), grid], className="page-explore")


def offered(results: Results) -> frozenset[str]:
    """Return the columns that the table has of some file of a folder; filters of tokens may leave fewer."""
    return frozenset(_measured(Scope(results).frame)) - _HIDDEN


def _measured(rows: pl.DataFrame) -> list[str]:
    """Return the columns in which some row has a value."""
    missing = zip(rows.columns, rows.null_count().row(0), strict=True)
    return [name for name, nulls in missing if nulls < rows.height]


def _more_to_save(scope: Scope) -> list[Component]:
    """Return buttons that save the frame of cache types, if the folder has it."""
    if scope.results.kv_cache() is None:
        return []
    title = "kv_cache.parquet of the selected variants, with their names"
    return [
        html.Button(
            f"Cache types as {name}",
            type="button",
            className="tool",
            title=title,
            **{"data-export": form, "data-frame": "kv_cache"},
        )
        for form, name in (("csv", "CSV"), ("parquet", "Parquet"))
    ]


def _records(rows: pl.DataFrame, shown: list[str]) -> list[dict[str, Any]]:
    """Return rows for the browser, with numbers to seven digits, finer than any error here.

    Columns with a unit also carry their formatted text in `written`; the browser formats the others.
    """
    rounded = rows.select(shown).with_columns(cs.float().round_sig_figs(7))
    formatted = _written_out(rows, shown)
    return [row | {"written": [_written(column, row) for column in formatted]} for row in rounded.to_dicts()]


def _written_out(rows: pl.DataFrame, shown: list[str]) -> list[Column]:
    """Return the columns that Python formats because of their unit."""
    kinds = rows.schema
    numeric = [_described(name, kinds[name]) for name in shown if kinds[name].is_numeric()]
    return [column for column in numeric if column.unit in columns.WRITTEN_OUT]


def _described(name: str, kind: pl.DataType) -> Column:
    """Return a column's description; for an unknown one its name, with integers taken for counts."""
    return columns_of().get(name) or Column(name, name, "", "count" if kind.is_integer() else "")


def _written(column: Column, row: Row) -> str:
    value = row[column.name]
    return "" if value is None else columns.cell(column, value, places=2)


def _columns(rows: pl.DataFrame, shown: list[str]) -> list[dict[str, Any]]:
    """Return column groups, one per metric family; texts are in the first group, unknown columns in the last."""
    label = {
        "field": "label",
        "headerName": "Variant",
        "pinned": "left",
        "width": 180,
        "tooltipField": "source",
    }
    written = [column.name for column in _written_out(rows, shown)]
    families = metric_families()
    texts = [_text(name) for name in shown if name in _TEXTS]
    groups: dict[str, list[dict[str, Any]]] = {families[0].title: texts}
    for family in families:
        group = groups.setdefault(family.title, [])
        group += [_number(column, written) for column in family.columns if column.name in shown]
    known, kinds = {*columns_of(), *_TEXTS, *_HIDDEN}, rows.schema
    groups[_MORE] = [
        _number(_described(name, kinds[name]), written)
        if kinds[name].is_numeric()
        else {"field": name, "headerName": name}
        for name in shown
        if name not in known
    ]
    always = {"failure", *(column.name for column in columns_of().values() if column.main)}
    filled = [_group(title, children, always) for title, children in groups.items() if children]
    return [{"headerName": "Variant", "children": [label]}, *filled]


def _group(name: str, children: list[dict[str, Any]], always: set[str]) -> dict[str, Any]:
    """Return a column group; while closed it shows the columns in `always`, or its first."""
    closed = [child for child in children if child["field"] in always] or children[:1]
    opened = [child | {"columnGroupShow": "open"} for child in children if child not in closed]
    return {"headerName": name, "children": [*closed, *opened]}


def _text(name: str) -> dict[str, Any]:
    label, meaning = _TEXTS[name]
    definition = {"field": name, "headerName": label, "headerTooltip": f"{name}: {meaning}"}
    return definition | ({"tooltipField": name, "width": 260} if name == "failure" else {})


def _number(column: Column, written: list[str]) -> dict[str, Any]:
    """Return a number column's definition; `written` names the columns that Python formats, in their order."""
    text = f"params.data.written[{written.index(column.name)}]" if column.name in written else _NUMBER
    return {
        "field": column.name,
        "headerName": column.label,
        "width": max(_NARROWEST, _AROUND + _CHARACTER * len(column.label)),
        "headerTooltip": columns.tooltip(column),
        "type": "rightAligned",
        "filter": "agNumberColumnFilter",
        "valueFormatter": {"function": text},
    }


def _empty(rows: pl.DataFrame) -> list[str]:
    """Return the columns of the schema that no row has a value in; none without rows."""
    empty = set(rows.columns).difference(_measured(rows)) if rows.height else set()
    return [name for name in Variants.columns() if name in empty]


def insights(scope: Scope) -> list[Insight]:
    """Name failed files, columns that were not measured, and columns that exist only over all tokens."""
    rows = scope.frame
    unfiltered = scope.results.select(replace(scope.selection, domains=frozenset(), bins=frozenset()))
    absent = _empty(unfiltered)
    of_all = [name for name in _empty(rows) if name not in absent]
    result = [
        *warnings(scope),
        Insight("Tick rows to pick variants: every view highlights them.", "finding"),
        *failures(rows.to_dicts()),
    ]
    if scope.selection.filters_tokens:
        text = "Statistics cover only the chosen texts and confidence bins."
        result.append(Insight(text, "caution", "sizes and speeds do not depend on the text"))
    if absent:
        text = "1 column was" if len(absent) == 1 else f"{len(absent)} columns were"
        result.append(Insight(f"{text} not measured.", "unknown", ", ".join(absent)))
    if of_all:
        text = "1 column is" if len(of_all) == 1 else f"{len(of_all)} columns are"
        result.append(Insight(f"{text} known over all tokens only.", "unknown", ", ".join(of_all)))
    return result
