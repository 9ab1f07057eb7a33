"""The callbacks: one on the server that draws, and the browser's own for address and theme."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, ctx, html, no_update

from dashboard.layout import bits_bounds
from dashboard.pages.parts import insight_list
from dashboard.render import Page, render, slug_of, status
from dashboard.results import Results
from dashboard.selection import Selection

_FILTERS = ("filter-model", "filter-method", "filter-quant", "filter-bits")


def register_callbacks(app: Dash, results: Results) -> None:
    """Connect the shell to `results`: every action of a person is one request to the server."""
    _register_render(app, results)
    browser = (
        ("address", Output("address", "id"), [Input("address", "data")], True),
        ("theme", Output("theme", "data"), [Input("theme-toggle", "n_clicks")], False),
        (
            "draw",
            [Output("graph", "figure"), Output("graph", "config")],
            [
                Input("drawing", "data"),
                Input("theme", "data"),
                State("templates", "data"),
                State("graph", "config"),
            ],
            True,
        ),
    )
    for name, outputs, inputs, skip_first in browser:
        function = ClientsideFunction("shell", name)
        app.clientside_callback(function, outputs, inputs, prevent_initial_call=skip_first)


def _register_render(app: Dash, results: Results) -> None:
    bounds = bits_bounds(results)

    register = app.callback(
        Output("eyebrow", "children"),
        Output("title", "children"),
        Output("caption", "children"),
        Output("insights", "children"),
        Output("body", "children"),
        Output("stage", "className"),
        Output("drawing", "data"),
        Output("status", "children"),
        Output("bits-text", "children"),
        Output("address", "data"),
        *(Output(identity, "value") for identity in _FILTERS),
        Input("location", "pathname"),
        Input("location", "search"),
        Input("reset", "n_clicks"),
        *(Input(identity, "value") for identity in _FILTERS),
        prevent_initial_call=True,
    )

    def show(pathname: str, search: str, _reset: int, *filters: object) -> tuple[Any, ...]:
        if ctx.triggered_id == "reset":
            selection = Selection()
        elif ctx.triggered_id == "location":
            selection = Selection.from_query(search)
        else:
            selection = from_filters(filters, bounds)
        page = render(results, pathname, selection)
        set_filters = ctx.triggered_id in {"reset", "location"}
        values = to_filters(selection, results, bounds) if set_filters else (no_update,) * len(_FILTERS)
        low, high = selection.bits or bounds
        address = {"slug": slug_of(pathname), "query": selection.to_query()}
        return (*_screen(page), status_parts(results, selection), f"{low:.2f}–{high:.2f}", address, *values)

    register(show)


def _screen(page: Page) -> tuple[Any, ...]:
    stage, drawing = "stage shows-body", no_update
    if page.figure is not None:
        figure = page.figure.to_plotly_json()
        stage, drawing = "stage shows-graph", {"figure": figure, "slug": page.slug, "filename": page.filename}
    return (page.eyebrow, page.title, page.caption, insight_list(page.insights), page.body, stage, drawing)


def status_parts(results: Results, selection: Selection) -> list[Any]:
    """Return the status bar's parts as elements."""
    return [html.Span(part) for part in status(results, selection)]


def from_filters(values: Sequence[Any], bounds: tuple[float, float]) -> Selection:
    """Return the selection that the filter panel's values mean; a full range of bits is no restriction."""
    models, methods, quants, bits = values
    whole = not bits or (bits[0] <= bounds[0] and bits[1] >= bounds[1])
    return Selection.of(models, methods, quants, None if whole else (float(bits[0]), float(bits[1])))


def to_filters(selection: Selection, results: Results, bounds: tuple[float, float]) -> tuple[Any, ...]:
    """Return the filter panel's values for a selection; unknown names cannot be ticked."""
    lists = [
        sorted(names & set(results.measured[column].to_list()))
        for column, names in (
            ("model", selection.models),
            ("method", selection.methods),
            ("quant", selection.quants),
        )
    ]
    low, high = selection.bits or bounds
    return (*lists, [min(max(low, bounds[0]), bounds[1]), max(min(high, bounds[1]), bounds[0])])
