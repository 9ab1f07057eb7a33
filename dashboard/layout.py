"""The shell: toolbar, tab strip, filter panel, stage, insights, status bar."""

from __future__ import annotations

import math
from typing import Any

import dash_bootstrap_components as dbc
import polars as pl
from dash import dcc, html
from dash.development.base_component import Component

from dashboard.pages.parts import swatch
from dashboard.render import OVERVIEW, SUMMARY
from dashboard.results import Results
from dashboard.theme import SURFACES, template
from dashboard.views import registry

BITS_STEP = 0.05
GRAPH_CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "showSendToCloud": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
}


def shell(results: Results) -> Component:
    """Return the whole page; everything that changes has an id that a callback fills."""
    templates = {name: template(name).to_plotly_json() for name in SURFACES}
    return html.Div(
        [
            dcc.Location(id="location", refresh="callback-nav"),
            dcc.Store(id="templates", data=templates),
            dcc.Store(id="drawing"),
            dcc.Store(id="address"),
            dcc.Store(id="theme"),
            _toolbar(results),
            _tabs(),
            html.Div([_filters(results), _stage(), _insights()], className="workspace"),
            html.Footer(id="status", className="status"),
        ],
        className="shell",
    )


def _toolbar(results: Results) -> Component:
    name = results.folder.resolve().name
    return html.Header(
        [
            html.A(
                [
                    html.Span(className="mark", **{"aria-hidden": "true"}),
                    html.Span("Quantization comparison"),
                ],
                href="/",
                className="product",
                **{"data-nav": "1"},
            ),
            html.Div(
                [
                    html.Strong(results.manifest.model),
                    html.Span(name, className="folder", title=str(results.folder)),
                ],
                className="source",
            ),
            html.Div(
                [
                    _button("filters-toggle", "Filters", "Show or hide the filters", only_small=True),
                    _button("copy-link", "Copy link", "Copy a link to this view with its filters"),
                    _button("theme-toggle", "Theme", "Switch between light and dark"),
                ],
                className="tools",
            ),
        ],
        className="toolbar",
    )


def _button(identity: str, text: str, title: str, only_small: bool = False) -> Component:
    classes = f"tool{' only-small' if only_small else ''}"
    return html.Button(text, id=identity, title=title, type="button", className=classes, n_clicks=0)


def _tabs() -> Component:
    entries = [(OVERVIEW, "", "Overview", "/")]
    entries += [(view.id, str(view.number), view.tab, f"/{view.id}") for view in registry()]
    entries += [(SUMMARY, "", "Summary", f"/{SUMMARY}")]
    links = [
        html.A(
            [html.Span(number, className="key")] * bool(number) + [html.Span(name)],
            id=f"tab-{slug}",
            href=href,
            role="tab",
            tabIndex=-1,
            className="view-tab",
            **{"data-nav": "1", "aria-selected": "false", "aria-controls": "stage"},
        )
        for slug, number, name, href in entries
    ]
    return html.Nav(html.Div(links, id="tabs", role="tablist", className="tabs", **{"aria-label": "Views"}))


def bits_bounds(results: Results) -> tuple[float, float]:
    """Return ends of the bits slider: the measured range, rounded outwards to its step."""
    bits = results.measured["bits_per_weight"]
    if bits.is_empty():
        return 0.0, 16.0
    low, high = float(bits.min()), float(bits.max())  # type: ignore[arg-type]  # a Float64 column's ends
    lower, upper = math.floor(low / BITS_STEP) * BITS_STEP, math.ceil(high / BITS_STEP) * BITS_STEP
    return round(lower, 4), round(max(upper, lower + BITS_STEP), 4)


def _filters(results: Results) -> Component:
    measured = results.measured
    models = sorted(set(measured["model"].to_list()))
    by_bits = (
        measured.group_by("quant").agg(pl.col("bits_per_weight").mean()).sort("bits_per_weight", "quant")
    )
    quants = [str(name) for name in by_bits["quant"]]
    low, high = bits_bounds(results)
    return html.Aside(
        [
            html.Div(
                [
                    html.H2("Filters"),
                    html.Button("Reset", id="reset", type="button", className="tool", n_clicks=0),
                ],
                className="panel-head",
            ),
            _choice("filter-model", "Model", [{"label": m, "value": m} for m in models]),
            _choice("filter-method", "Method", [_method_option(results, m) for m in results.methods]),
            _choice("filter-quant", "Quant type", [{"label": q, "value": q} for q in quants], chips=True),
            html.Fieldset(
                [
                    html.Legend(["Bits per weight", html.Output(id="bits-text", className="bits-text")]),
                    dcc.RangeSlider(
                        id="filter-bits",
                        min=low,
                        max=high,
                        step=BITS_STEP,
                        value=[low, high],
                        marks=None,
                        allowCross=False,
                        allow_direct_input=False,
                        updatemode="mouseup",
                    ),
                ]
            ),
            html.P("Nothing ticked means all.", className="hint"),
        ],
        id="filters",
        className="panel filters",
        **{"aria-label": "Filters"},
    )


def _method_option(results: Results, method: str) -> dict[str, Any]:
    count = results.measured.filter(results.measured["method"] == method).height
    label = html.Span(
        [swatch(results.styles[method]), f" {method}", html.Small(str(count))], className="method"
    )
    return {"label": label, "value": method}


def _choice(identity: str, legend: str, options: list[dict[str, Any]], *, chips: bool = False) -> Component:
    checklist = dbc.Checklist(
        id=identity, options=options, value=[], className="chips" if chips else "choices"
    )
    return html.Fieldset([html.Legend(legend), checklist])


def _stage() -> Component:
    return html.Main(
        [
            html.Div(
                [html.P(id="eyebrow", className="eyebrow"), html.H1(id="title")], className="stage-head"
            ),
            html.Div(
                [
                    html.Div(
                        dcc.Graph(id="graph", config=GRAPH_CONFIG, responsive=True, style={"height": "100%"}),
                        className="graph",
                    ),
                    html.Div(id="body", className="body"),
                ],
                className="canvas",
            ),
            html.P(id="caption", className="caption"),
        ],
        id="stage",
        role="tabpanel",
        className="stage shows-body",
    )


def _insights() -> Component:
    return html.Aside(
        [
            html.Div(html.H2("Insights"), className="panel-head"),
            html.Div(id="insights", **{"aria-live": "polite"}),
        ],
        className="panel insights-panel",
        **{"aria-label": "Insights"},
    )
