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
from dashboard.pages.parts import empty_notice
from dashboard.results.results import ADDED
from dashboard.results.scope import Scope
from evaluator.results.schema import Variants

#: Column groups: their name, and which columns belong by how they begin. The first that fits takes a column.
_GROUPS = (
    (
        "File",
        (
            "model",
            "device",
            "provider",
            "source",
            "size_bytes",
            "bits_per_weight",
            "failure",
            "artifact_bytes",
            "n_",
        ),
    ),
    ("Perplexity", ("ppl", "ln_ppl", "cor_")),
    ("Divergence", ("kld", "deploy")),
    ("Agreement", ("same_top", "top_prob")),
    ("Δp, percentage points", ("delta_p",)),
    ("Δ log p, nats", ("delta_logp",)),
    ("Speed and memory", ("prefill", "decode", "load", "peak", "inv_")),
)
_HIDDEN = {*ADDED, "variant_id", "sha256", "is_baseline"} - {"failure"}
#: Columns that a group shows when it is folded; the others appear when it is opened.
_ALWAYS = {
    "failure",
    "size_bytes",
    "bits_per_weight",
    "ppl",
    "ln_ppl_ratio",
    "kld_mean",
    "kld_se_clustered",
    "kld_p990",
    "deploy_kld_mean",
    "same_top",
    "delta_p_rms",
    "delta_logp_mean",
    "decode_ms_p50",
    "prefill_tps",
    "inv_ppl_per_mb",
}
#: What a column holds, where its name does not tell.
_EXPLAINED = {
    "deploy_kld_mean": "deploy_kld_mean: what packing into ONNX, the form that is timed, adds to the file's own loss "
    "(kld_mean): KL divergence of the packed artifact from the file's exact weights, nats per token",
    "failure": "failure: what was measured and failed",
}
#: The table's colours are the page's, so that it follows the theme.
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
#: Pixels: a column's least width, and its heading's, character by character, with the filter's sign.
_NARROWEST, _CHARACTER, _AROUND = 110, 8, 58
#: Five significant digits, written out between 10⁻⁵ and 10⁷, else with an exponent.
_NUMBER = (
    "params.value == null ? '' : d3.format("
    "params.value !== 0 && (Math.abs(params.value) >= 1e7 || Math.abs(params.value) < 1e-5) ? '.4~e' : '.5~r'"
    ")(params.value)"
)
_WHOLE = "params.value == null ? '' : d3.format(',')(params.value)"


def headline(scope: Scope) -> str:
    """Count what the table holds."""
    rows = scope.frame
    columns = sum(
        rows[name].is_not_null().any() for name in rows.columns if name not in {*_HIDDEN, "failure"}
    )
    return f"{rows.height} variants, {columns} measured columns"


def body(scope: Scope) -> Component:
    """Return the table; its ticked rows are the picked variants."""
    rows = scope.frame
    if rows.is_empty():
        return empty_notice()
    baselines = scope.baselines
    shown = [name for name in rows.columns if rows[name].is_not_null().any()]
    grid = dag.AgGrid(
        id="grid",
        rowData=_records(rows, shown),
        columnDefs=_columns(rows, shown),
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
        title="The rows the table shows, in its order, with all columns",
        **{"data-file": f"{scope.results.folder.resolve().name}-variants.csv"},
    )
    hint = html.Span("Baselines stay on top. Open a group's heading for all its columns.", className="hint")
    return html.Div([html.Div([hint, save], className="grid-tools"), grid], className="page-explore")


def _records(rows: pl.DataFrame, shown: list[str]) -> list[dict[str, Any]]:
    """Rows for the browser: seven significant digits are beyond every error here."""
    rounded = rows.select(shown).with_columns(cs.float().round_sig_figs(7))
    return rounded.to_dicts()


def _columns(rows: pl.DataFrame, shown: list[str]) -> list[dict[str, Any]]:
    name = {
        "field": "label",
        "headerName": "Variant",
        "pinned": "left",
        "width": 180,
        "tooltipField": "source",
    }
    groups: dict[str, list[dict[str, Any]]] = {name: [] for name, _ in _GROUPS}
    for column in shown:
        if column in _HIDDEN:
            continue
        group = next((name for name, starts in _GROUPS if column.startswith(starts)), "More")
        groups.setdefault(group, []).append(_column(rows, column))
    found = [_group(title, children) for title, children in groups.items() if children]
    return [{"headerName": "Variant", "children": [name]}, *found]


def _group(name: str, children: list[dict[str, Any]]) -> dict[str, Any]:
    folded = [child for child in children if child["field"] in _ALWAYS]
    if folded and len(folded) < len(children):
        for child in children:
            if child not in folded:
                child["columnGroupShow"] = "open"
    ordered = [*folded, *(child for child in children if child not in folded)]
    return {"headerName": name, "children": ordered}


def _column(rows: pl.DataFrame, column: str) -> dict[str, Any]:
    if column == "failure":
        told = {"headerTooltip": _EXPLAINED[column], "tooltipField": column, "width": 260}
        return {"field": column, "headerName": column} | told
    kind = rows.schema[column]
    definition: dict[str, Any] = {
        "field": column,
        "headerName": column,
        "width": max(_NARROWEST, _AROUND + _CHARACTER * len(column)),
        "headerTooltip": _EXPLAINED.get(column, column),
    }
    if kind.is_numeric():
        formatter = _WHOLE if kind.is_integer() else _NUMBER
        definition |= {
            "type": "rightAligned",
            "filter": "agNumberColumnFilter",
            "valueFormatter": {"function": formatter},
        }
    return definition


def _is_empty(rows: pl.DataFrame, column: str) -> bool:
    return column in rows.columns and rows.height > 0 and not rows[column].is_not_null().any()


def insights(scope: Scope) -> list[Insight]:
    """Say which files failed, what is not measured, and what only all tokens together tell."""
    rows = scope.frame
    everywhere = scope.results.select(replace(scope.selection, domains=frozenset(), bins=frozenset()))
    absent = [name for name in Variants.columns() if _is_empty(everywhere, name)]
    of_all = [name for name in Variants.columns() if _is_empty(rows, name) and name not in absent]
    found = [
        *warnings(scope),
        Insight("Tick rows to pick variants: every view highlights them.", "finding"),
        *failures(rows.to_dicts()),
    ]
    if scope.selection.filters_tokens:
        text = "All statistics are over the chosen texts and bins of confidence only."
        found.append(Insight(text, "caution", "sizes and speeds do not depend on the text"))
    if absent:
        text = "1 column was" if len(absent) == 1 else f"{len(absent)} columns were"
        found.append(Insight(f"{text} not measured.", "unknown", ", ".join(absent)))
    if of_all:
        text = "1 column is" if len(of_all) == 1 else f"{len(of_all)} columns are"
        found.append(Insight(f"{text} known over all tokens only.", "unknown", ", ".join(of_all)))
    return found
