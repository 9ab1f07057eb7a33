"""Pieces of HTML that pages and the shell share."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html
from dash.development.base_component import Component

from dashboard.insights import Insight
from dashboard.insights.order import SHOWN, by_importance
from dashboard.pages.folds import fold
from dashboard.pages.terms import explained
from dashboard.style import formats
from dashboard.style.theme import MethodStyle
from dashboard.views import Absent

_SIGNS = {
    "finding": ("●", "Finding"),
    "tie": ("≈", "Tied"),
    "caution": ("!", "Caution"),
    "unknown": ("?", "Cannot tell"),
    "note": ("i", "Note on the measurement"),
}


def insight_list(insights: Sequence[Insight]) -> Component:
    """Return insights as a list, each with a sign for its kind."""
    seen: set[str] = set()
    return _list(insights, seen, seen)


def insight_panel(insights: Sequence[Insight]) -> list[Component]:
    """Return the most important insights, and the others folded; their numbers have the class `insight-detail`.

    The panel hides the numbers, so their words are explained apart from those of the sentences.
    """
    ordered = by_importance(insights)
    first, others = ordered[:SHOWN], ordered[SHOWN:]
    words, numbers = set[str](), set[str]()
    shown: list[Component] = [_list(first, words, numbers)]
    if others:
        summary = html.Summary(f"{len(others)} more")
        shown.append(fold("insights", summary, [_list(others, words, numbers)]))
    return shown


def _list(insights: Sequence[Insight], words: set[str], numbers: set[str]) -> Component:
    return html.Ul([_insight(insight, words, numbers) for insight in insights], className="insights")


def _insight(insight: Insight, words: set[str], numbers: set[str]) -> Component:
    sign, name = _SIGNS[insight.kind]
    text = html.P(explained(insight.text, words), className="insight-text")
    parts: list[Component] = [text]
    if insight.detail:
        parts.append(html.P(explained(insight.detail, numbers), className="insight-detail"))
    parts += [html.P(explained(remark, words), className="insight-remark") for remark in insight.remarks]
    if insight.command:
        parts.append(command(insight.command))
    return html.Li(
        [
            html.Span(sign, className="insight-sign", title=name, role="img", **{"aria-label": name}),
            html.Div(parts),
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


def provisional_note(why: str) -> list[Component]:
    """Return a badge with the reason why what is said is provisional; empty without one."""
    if not why:
        return []
    badge = html.Span("Provisional", className="badge-provisional")
    return [html.P([badge, f" {formats.first_up(why)}."], className="provisional-note", role="note")]


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
    """Return a titled box; one of a table, which scrolls in a narrow window, takes the focus."""
    focus = {"tabIndex": 0} if "table-box" in class_name.split() else {}
    return html.Section([html.H2(title), *children], className=f"box {class_name}".strip(), **focus)
