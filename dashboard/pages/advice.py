"""The user's limits on the first page: entries kept in the address, and the best file within them."""

from __future__ import annotations

import dash_bootstrap_components as dbc
from dash import html
from dash.development.base_component import Component

from dashboard.insights.advising import Advice
from dashboard.insights.limits import LIMITS, Limit, problems
from dashboard.insights.remarks import of_advice
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection


def limit_fields(selection: Selection) -> Component:
    """Return an entry for each limit, in one line; the chart's line sets that of memory."""
    wrong = problems(selection)
    fields = [_field(selection, key, limit, wrong) for key, limit in LIMITS.items()]
    return html.Div(
        fields,
        className="limits",
        role="group",
        **{"aria-label": "Your limits"},
    )


def advice_lines(scope: Scope, advice: Advice) -> list[Component]:
    """Return what is said under the name of the best file within the limits, or why there is none."""
    rule = html.P(f"Rule: {advice.rule}", className="answer-rule")
    said = [html.P(text, className="answer-note") for text in of_advice(scope, advice)]
    if advice.best is None:
        return [html.P(advice.why, className="advice-none"), *said, rule]
    memory = [html.P(advice.memory, className="answer-note")] if advice.memory else []
    return [*memory, *said, rule]


def _field(selection: Selection, key: str, limit: Limit, wrong: dict[str, str]) -> Component:
    """Return an input with its typed text, and the problem with it if any."""
    entry = dbc.Input(
        id=f"option-{key}",
        type="text",
        value=dict(selection.options).get(key, ""),
        size="sm",
        placeholder=limit.example.partition(" or ")[0],
        invalid=key in wrong,
    )
    problem = [html.P(wrong[key], className="limit-problem", role="alert")] if key in wrong else []
    return html.Div([html.Label(limit.label, htmlFor=f"option-{key}"), entry, *problem], className="limit")
