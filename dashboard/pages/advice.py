"""The recommender on the page: three limits, kept in the address, and the best file within them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import dash_bootstrap_components as dbc
from dash import html
from dash.development.base_component import Component

from dashboard.charts import Row
from dashboard.insights.recommender import Need, advise
from dashboard.pages.parts import card, swatch
from dashboard.results import Results
from dashboard.selection import Selection

_FIELDS = (
    ("gb", "GB of room for the file", "0.1"),
    ("tps", "tokens per second, at least", "1"),
    ("rise", "% more perplexity, at most", "0.5"),
)

#: Keys in the URL of the recommender's limits.
LIMITS = tuple(key for key, _, _ in _FIELDS)


def need(selection: Selection) -> Need:
    """Read the limits out of an address; what is no positive number is no limit."""
    given = {key: _positive(value) for key, value in selection.options if key in LIMITS}
    rise = given.get("rise")
    return Need(given.get("gb"), given.get("tps"), None if rise is None else rise / 100)


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def advice_box(results: Results, selection: Selection, rows: Sequence[Row]) -> Component:
    """Return the form and its answer."""
    found = advise(rows, need(selection))
    if found.best is None:
        answer = [html.P(found.why, className="advice-none")]
    else:
        answer = [html.P([_name(results, found.best), f" {found.why}"])]
        if found.runner_up is not None:
            answer.append(html.P(["Runner-up: ", _name(results, found.runner_up)]))
        answer.append(html.P(found.next_step))
    rule = html.P(f"Rule: {found.rule}", className="answer-rule")
    form = html.Div([_field(selection, *field) for field in _FIELDS], className="limits")
    return card("With your limits", [form, html.Div([*answer, rule], className="advice")], "advice-box")


def _field(selection: Selection, key: str, text: str, step: str) -> Component:
    value = dict(selection.options).get(key, "")
    shown = value if _positive(value) is not None else ""
    entry = dbc.Input(
        id=f"option-{key}", type="number", min=0, step=step, value=shown, size="sm", placeholder="any"
    )
    return html.Div([entry, html.Label(text, htmlFor=f"option-{key}")], className="limit")


def _name(results: Results, row: Row) -> Component:
    return html.Strong([swatch(results.styles[row["method"]]), f" {row['label']}"])
