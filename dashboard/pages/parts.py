"""Pieces of HTML that pages and the shell share."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html
from dash.development.base_component import Component

from dashboard.insights import Insight
from dashboard.theme import MethodStyle
from dashboard.views import Absent

_SIGNS = {
    "finding": ("●", "Finding"),
    "tie": ("≈", "Tied"),
    "caution": ("!", "Note"),
    "unknown": ("?", "Cannot tell"),
}


def insight_list(insights: Sequence[Insight]) -> Component:
    """Insights as a list, each with a sign for its kind."""
    return html.Ul([_insight(insight) for insight in insights], className="insights")


def _insight(insight: Insight) -> Component:
    sign, name = _SIGNS[insight.kind]
    detail = [html.P(insight.detail, className="insight-detail")] if insight.detail else []
    return html.Li(
        [
            html.Span(sign, className="insight-sign", title=name, **{"aria-label": name}),
            html.Div([html.P(insight.text, className="insight-text"), *detail]),
        ],
        className=f"insight insight-{insight.kind}",
    )


def swatch(style: MethodStyle) -> Component:
    """Return a method's symbol in its colour."""
    return html.Span(style.glyph, className="swatch", style={"color": style.color}, **{"aria-hidden": "true"})


def absent_notice(absent: Absent) -> Component:
    """Why a view has nothing to draw, and the command that changes it."""
    return html.Div(
        [
            html.H2("Not measured in this results folder"),
            html.P(["This view needs ", absent.what, "."]),
            html.P("Run the comparison again with it; what is finished is kept and not measured twice:"),
            html.Pre(html.Code(absent.command), className="command"),
        ],
        className="notice",
    )


def empty_notice() -> Component:
    """Return the message for filters that leave nothing, with the way out."""
    return html.Div(
        [
            html.H2("No variant matches these filters"),
            html.P("The combination of model, method, quant type and bits leaves nothing to draw."),
            html.Button(
                "Reset filters", className="btn btn-primary btn-sm", type="button", **{"data-reset": "1"}
            ),
        ],
        className="notice",
    )


def card(title: str, children: list[Component], class_name: str = "") -> Component:
    """Return a titled box."""
    return html.Section([html.H2(title), *children], className=f"box {class_name}".strip())
