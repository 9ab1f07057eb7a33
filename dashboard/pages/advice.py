"""The recommender on the page: limits, kept in the address, and the best file within them."""

from __future__ import annotations

import dash_bootstrap_components as dbc
from dash import html
from dash.development.base_component import Component

from dashboard.insights.advising import Advice
from dashboard.insights.answers import Answers
from dashboard.insights.candidates import Candidate
from dashboard.insights.engine_gap import is_timed, packing_adds
from dashboard.insights.limits import LIMITS, Limit, problems
from dashboard.pages.parts import card, swatch
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection


def advice_box(scope: Scope, answers: Answers) -> Component:
    """Return the form and its answer; without limits, that is the answer for everyday use."""
    wrong = problems(scope.selection)
    form = html.Div(
        [_field(scope.selection, key, limit, wrong) for key, limit in LIMITS.items()], className="limits"
    )
    if answers.advice is None:
        lines: list[Component] = [html.P(_without_limits(answers))]
    else:
        lines = _within_limits(scope, answers.advice)
    return card("With your limits", [form, html.Div(lines, className="advice")], "advice-box")


def _without_limits(answers: Answers) -> str:
    row = answers.everyday.row
    answer = f"the answer for everyday use is {row['label']}" if row is not None else "all files count"
    return f"No limits set: {answer}. Type your limits."


def _within_limits(scope: Scope, advice: Advice) -> list[Component]:
    rule = html.P(f"Rule: {advice.rule}", className="answer-rule")
    missing = [html.P(advice.unmeasured, className="advice-unmeasured")] if advice.unmeasured else []
    if advice.best is None:
        return [html.P(advice.why, className="advice-none"), *missing, rule]
    lines = [html.P([_name(scope.results, advice.best), f" {advice.why}"])]
    if advice.memory:
        lines.append(html.P(advice.memory, className="answer-memory"))
    if is_timed(advice.best.row) and not advice.best.as_run:
        lines.append(html.P(f"{packing_adds(advice.best.row, scope.selection)}.", className="answer-gap"))
    if advice.runner_up is not None:
        lines.append(html.P(["Runner-up: ", _name(scope.results, advice.runner_up)]))
    return [*lines, *missing, *([html.P(advice.next_step)] if advice.next_step else []), rule]


def _field(selection: Selection, key: str, limit: Limit, wrong: dict[str, str]) -> Component:
    """Return an input with its typed text, and the problem with it if any."""
    entry = dbc.Input(
        id=f"option-{key}",
        type="text",
        value=dict(selection.options).get(key, ""),
        size="sm",
        placeholder=limit.example,
        invalid=key in wrong,
    )
    problem = [html.P(wrong[key], className="limit-problem", role="alert")] if key in wrong else []
    return html.Div([entry, html.Label(limit.label, htmlFor=f"option-{key}"), *problem], className="limit")


def _name(results: Results, item: Candidate) -> Component:
    return html.Strong([swatch(results.styles[item.row["method"]]), f" {item.label}"])
