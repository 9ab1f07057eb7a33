"""Explore's menu of columns. The address holds those that are chosen, so that a link and Back bring them with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dash import html
from dash.development.base_component import Component

from dashboard.results.scope import Scope

#: The option of the address; its value is the columns' names with `SEPARATOR` between them.
KEY, SEPARATOR = "columns", "."
#: A group's heading, and its columns as the table defines them.
Groups = Sequence[Mapping[str, Any]]


def named(text: str) -> list[str]:
    """Return the columns that the option's value names, each once."""
    return list(dict.fromkeys(filter(None, text.split(SEPARATOR))))


def chosen(scope: Scope, known: Collection[str]) -> frozenset[str]:
    """Return the columns that the address names and the table has; empty if it names none, which means the usual."""
    return frozenset(named(dict(scope.selection.options).get(KEY, ""))) & frozenset(known)


def keep(groups: Groups, names: Collection[str]) -> list[dict[str, Any]]:
    """Return the groups with only the named columns, all visible; groups without one are left out."""
    kept = []
    for group in groups:
        children = [child for child in group["children"] if child["field"] in names]
        shown = [
            {key: value for key, value in child.items() if key != "columnGroupShow"} for child in children
        ]
        if shown:
            kept.append({**group, "children": shown})
    return kept


def menu(groups: Groups, names: Collection[str]) -> Component:
    """Return the menu: a button per column in its group, pressed if it is shown."""
    usual = [
        child["field"] for group in groups for child in group["children"] if "columnGroupShow" not in child
    ]
    shown = names or usual
    parts: list[Component] = [_button("Usual columns", "usual"), _button("All columns", "all")]
    for group in groups:
        parts.append(html.H3(group["headerName"]))
        parts.append(
            html.Div([_choice(child, shown) for child in group["children"]], className="column-choices")
        )
    listed = html.Div(parts, className="menu-list", **{"data-usual": SEPARATOR.join(usual)})
    return html.Details(
        [html.Summary("Columns", className="tool"), listed], className="menu", id="columns-menu"
    )


def _choice(child: Mapping[str, Any], shown: Collection[str]) -> Component:
    pressed = child["field"] in shown
    return html.Button(
        child["headerName"],
        type="button",
        className="column-choice",
        title=child.get("headerTooltip"),
        **{"data-column": child["field"], "aria-pressed": str(pressed).lower()},
    )


def _button(text: str, which: str) -> Component:
    return html.Button(text, type="button", className="tool", **{"data-columns": which})
