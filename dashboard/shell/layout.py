"""The shell: toolbar, tab strip, filter panel, stage, insights, status bar."""

from __future__ import annotations

from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from dashboard.shell import filters
from dashboard.shell.address import COMPARE, EXPLORE, MEASURE, OVERVIEW, SUMMARY
from dashboard.shell.export_menu import export_menu
from dashboard.views import registry

#: Settings of every plot, as Plotly takes them.
GRAPH_CONFIG: dict[str, Any] = {
    "displaylogo": False,
    # Plotly would restore the range of the page that was drawn first: assets/plot.js does it.
    "doubleClick": False,
    "showSendToCloud": False,
    "modeBarButtonsToRemove": ["autoScale2d", "resetScale2d", "toImage"],
}
POLL_SECONDS = 2
_SHORTCUTS = (
    ("← →", "previous and next page"),
    ("0 – 8", "overview and the eight views"),
    ("C, E, S, M", "compare, explore, summary, and measure where it is offered"),
    ("F", "fold the filters"),
    ("N", "the numbers behind the insights"),
    ("/", "find a variant"),
    ("T", "light or dark"),
    ("P", "present the deck's slides; ← → turn, Esc leaves"),
    ("Ctrl Z", "undo the last change; Ctrl Shift Z redoes it (⌘ on a Mac)"),
    (
        "Tab, then ← → ↑ ↓",
        "on the chart: go from point to point; Enter picks. In a list: from choice to choice",
    ),
    ("Esc", "take back one thing: menu, search, point, zoom, cell, bin, picks"),
    ("?", "this list"),
)
_GESTURES = (
    ("Click a point", "pick it everywhere; click again to let go"),
    ("Lasso or box", "pick what is inside, with the tools above a chart"),
    ("Click a method's name", "filter by it; double-click for it alone"),
    ("Click a cell or a bin", "filter by layer and role, or by confidence"),
    ("Click a cell of experts", "see each expert; click again to close"),
)


def shell(*, opens: bool = False, measures: bool = False) -> Component:
    """Return the whole page; everything that changes has an id that a callback fills.

    Args:
        opens: whether the page can open folders of this machine.
        measures: whether it can measure files.
    """
    stores = [dcc.Store(id=name) for name in ("drawing", "address", "theme", "version")]
    return html.Div(
        [
            dcc.Location(id="location", refresh="callback-nav"),
            dcc.Interval(id="poll", interval=1000 * POLL_SECONDS, disabled=True),
            *stores,
            html.Button("Skip to the chart", id="skip", type="button", className="tool skip"),
            _toolbar(opens=opens),
            _tabs([MEASURE] if measures else []),
            html.Div([filters.panel(), _stage(), _insights()], className="workspace"),
            html.Footer(
                [html.Div(id="status", className="facts"), html.Div(id="chips", className="chips-bar")],
                className="status",
            ),
            html.P(id="said", className="said", role="status"),
            _help(),
        ],
        id="shell",
        className="shell",
    )


def _toolbar(*, opens: bool) -> Component:
    product = html.A(
        [html.Span(className="mark", **{"aria-hidden": "true"}), html.Span("Quantization comparison")],
        href="/",
        className="product",
        **{"data-nav": "1", "aria-label": "Quantization comparison: overview"},
    )
    tools = [
        _button("filters-toggle", "Filters", "Fold or unfold the filters (F)"),
        *([_button("open-toggle", "Open", "Open a results folder of this machine")] if opens else []),
        html.Div(export_menu(), id="export-menu"),
        _button("present-toggle", "Present", "Show the slides of the deck in full screen (P)"),
        _button("copy-link", "Copy link", "Copy a link to this screen with its filters and picks"),
        _button("theme-toggle", "Theme", "Switch between light and dark (T)"),
        _button("help-toggle", "?", "Keyboard shortcuts and gestures (?)"),
    ]
    search = dcc.Input(
        id="find",
        type="text",
        placeholder="Find a variant  /",
        autoComplete="off",
        className="find",
    )
    finder = [html.Label("Find a variant", htmlFor="find", className="unseen"), search]
    return html.Header(
        [
            product,
            html.Div(id="source", className="source"),
            html.Div([*finder, _found()], className="finder"),
            html.Div(tools, className="tools", role="toolbar", **{"aria-label": "Tools"}),
        ],
        className="toolbar",
    )


def _found() -> Component:
    """Return the list of variants that match what is typed, and the button that filters to them."""
    only = html.Button(id="find-filter", type="button", className="tool", title="Shift Enter", tabIndex=-1)
    none = html.P("No variant has these words in its name.", id="find-none", className="hint", hidden=True)
    names = html.Div(id="find-list", role="listbox", **{"aria-label": "Variants"})
    return html.Div([names, none, only], id="find-menu", className="find-menu", hidden=True)


def _button(identity: str, text: str, title: str) -> Component:
    return html.Button(text, id=identity, title=title, type="button", className="tool", n_clicks=0)


def _tabs(more: list[str]) -> Component:
    entries = [(OVERVIEW, "", "Overview", "/")]
    entries += [(view.id, str(view.number), view.tab, f"/{view.id}") for view in registry()]
    entries += [(slug, "", slug.capitalize(), f"/{slug}") for slug in (COMPARE, EXPLORE, SUMMARY, *more)]
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


def _stage() -> Component:
    above = [html.P(id="eyebrow", className="eyebrow"), html.Div(id="options", className="options")]
    unknown = html.P(id="unknown", className="unknown", role="status")
    picked = html.P(id="picked", className="picked")
    head = html.Div(
        [html.Div(above, className="stage-above"), html.H1(id="title"), unknown, picked],
        className="stage-head",
    )
    canvas = html.Div(
        [
            html.Div(
                id="graph-place",
                className="graph",
                role="application",
                tabIndex=0,
                **{
                    "aria-label": "Chart: arrow keys go from point to point, Enter picks",
                    "aria-describedby": "title caption",
                },
            ),
            html.P(id="pointed", className="unseen", role="status"),
            html.Div(id="body", className="body", tabIndex=0),
        ],
        className="canvas",
    )
    parts = [head, canvas, html.P(id="caption", className="caption")]
    return html.Main(html.Div(parts, id="stage", role="tabpanel", className="stage shows-body"))


def _insights() -> Component:
    return html.Aside(
        [
            html.Div(id="beside", className="beside"),
            html.Div([html.H2("Insights"), _numbers()], className="panel-head"),
            html.Div(id="insights", **{"aria-live": "polite"}),
            html.Div(id="claims"),
        ],
        className="panel insights-panel",
        tabIndex=0,
        **{"aria-label": "Insights"},
    )


def _numbers() -> Component:
    """Return the switch of the numbers behind the insights; reading.js turns it."""
    return html.Button(
        "Numbers",
        id="numbers-toggle",
        title="Show the numbers and rules behind each insight (N)",
        type="button",
        className="tool numbers-toggle",
        **{"aria-pressed": "false"},
    )


def _help() -> Component:
    keys = [part for key, text in _SHORTCUTS for part in (html.Dt(html.Kbd(key)), html.Dd(text))]
    gestures = [part for name, text in _GESTURES for part in (html.Dt(name), html.Dd(text))]
    close = html.Button("Close", type="button", className="tool", **{"data-close": "help"})
    return html.Dialog(
        [
            html.Div([html.H2("Shortcuts"), close], className="panel-head"),
            html.Dl(keys, className="keys"),
            html.H2("With the mouse"),
            html.Dl(gestures, className="keys"),
        ],
        id="help",
        className="help",
        **{"aria-label": "Shortcuts"},
    )
