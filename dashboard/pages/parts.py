"""Pieces of HTML that pages and the shell share."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html
from dash.development.base_component import Component

from dashboard.insights import Claim, Insight
from dashboard.style.theme import MethodStyle
from dashboard.views import Absent, registry

_SIGNS = {
    "finding": ("●", "Finding"),
    "tie": ("≈", "Tied"),
    "caution": ("!", "Note"),
    "unknown": ("?", "Cannot tell"),
}
_VERDICTS = {"holds": "✓", "fails": "✗", "unknown": "?"}


def insight_list(insights: Sequence[Insight]) -> Component:
    """Return insights as a list, each with a sign for its kind."""
    return html.Ul([_insight(insight) for insight in insights], className="insights")


def _insight(insight: Insight) -> Component:
    sign, name = _SIGNS[insight.kind]
    detail: list[Component] = [html.P(insight.detail, className="insight-detail")] if insight.detail else []
    if insight.command:
        detail.append(command(insight.command))
    return html.Li(
        [
            html.Span(sign, className="insight-sign", title=name, **{"aria-label": name}),
            html.Div([html.P(insight.text, className="insight-text"), *detail]),
        ],
        className=f"insight insight-{insight.kind}",
    )


def command(text: str) -> Component:
    """Return a command line with a button that copies it."""
    copy = html.Button("Copy", type="button", className="tool", **{"data-copy": text})
    return html.Div([html.Pre(html.Code(text), className="command"), copy], className="to-copy")


def swatch(style: MethodStyle) -> Component:
    """Return a method's symbol in its colour."""
    return html.Span(style.glyph, className="swatch", style={"color": style.color}, **{"aria-hidden": "true"})


def claim_list(claims: Sequence[Claim]) -> list[Component]:
    """Return claims with verdicts and evidence under a heading; empty if there are no claims."""
    if not claims:
        return []
    items = [
        html.Li(
            [
                html.Span(_VERDICTS[claim.verdict], className="insight-sign", **{"aria-hidden": "true"}),
                html.Div(
                    [
                        html.P([html.Strong(claim.wording), " ", claim.text], className="insight-text"),
                        html.P(claim.evidence, className="insight-detail"),
                    ]
                ),
            ],
            className=f"insight claim-{claim.verdict}",
        )
        for claim in claims
    ]
    head = html.Div(html.H2("Claims, tested here"), className="panel-head claims-head")
    return [head, html.Ul(items, className="insights")]


def claims_table(judged: Sequence[tuple[str, Sequence[Claim]]]) -> Component:
    """Return all claims in one table, each with its verdict, its evidence and its view."""
    views = {view.id: view for view in registry()}
    order = {name: index for index, name in enumerate(views)}
    lines = []
    for name, claims in sorted(judged, key=lambda item: order.get(item[0], len(order))):
        view = views.get(name)
        link = [html.A(view.tab, href=f"/{view.id}", **{"data-nav": "1"})] if view else ["Summary"]
        for claim in claims:
            cells = [
                html.Td([_VERDICTS[claim.verdict], " ", claim.wording], className=f"claim-{claim.verdict}"),
                html.Td([claim.text, html.Div(claim.evidence, className="insight-detail")]),
                html.Td(link),
            ]
            lines.append(html.Tr(cells))
    head = html.Thead(html.Tr([html.Th(text, scope="col") for text in ("Verdict", "Claim", "View")]))
    return html.Table([head, html.Tbody(lines)], className="table claims-table")


def notice(title: str, parts: Sequence[Component]) -> Component:
    """Return a message shown instead of a page's content."""
    return html.Div([html.H2(title), *parts], className="notice")


def absent_notice(absent: Absent) -> Component:
    """Return the reason why a view has nothing to draw, and the command that measures it."""
    fault = [html.P(f"{absent.fault}.")] if absent.fault else []
    parts = [
        html.P(["This view needs ", absent.what, "."]),
        *fault,
        html.P(absent.advice),
        command(absent.command),
    ]
    return notice(absent.heading, parts)


def empty_notice() -> Component:
    """Return the message for filters that no variant passes, with a reset button."""
    text = "No variant has this combination of model, method, quant type and bits."
    reset = html.Button(
        "Reset filters", className="btn btn-primary btn-sm", type="button", **{"data-reset": "1"}
    )
    return notice("No variant matches these filters", [html.P(text), reset])


def card(title: str, children: list[Component], class_name: str = "") -> Component:
    """Return a titled box."""
    return html.Section([html.H2(title), *children], className=f"box {class_name}".strip())
