"""The parts around a page: the folder's name, the view's switches, the chips of active filters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dash import html
from dash.development.base_component import Component

from dashboard.results.library import Library
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.shell import filters
from dashboard.shell.address import Address
from dashboard.style import formats
from dashboard.views import registry

_MOST_CHIPS = 12


def source(library: Library, address: Address, results: Results | None) -> list[Component]:
    """Return the model's and the folder's name, with a menu if several folders are served."""
    name = library.name_of(address.folder)
    model = (
        [html.Strong(formats.listing(results.models) or results.manifest.model)]
        if results is not None
        else []
    )
    if len(library.names) == 1:
        return [*model, html.Span(name, className="folder", title=str(library.folder(name)))]
    links = [
        html.A(
            other,
            href=Address(folder="" if other == library.names[0] else other).href,
            className="menu-item" + (" chosen" if other == name else ""),
            title=str(library.folder(other)),
            **{"data-query": "1"},
        )
        for other in library.names
    ]
    parts = [html.Summary(name, className="tool"), html.Div(links, className="menu-list")]
    return [*model, html.Details(parts, className="menu", id="folders")]


def option_bar(address: Address, results: Results) -> list[Component]:
    """Return the current view's switches with the choices that the folder has data for; each choice is a link.

    A switch without a choice is left out.
    """
    view = next((view for view in registry() if view.id == address.slug), None)
    scope, bar = Scope(results, address.selection), []
    for option in view.options if view is not None else ():
        if not option.applies(scope):
            continue
        chosen, withheld = option.offered(results, address.selection), option.withheld(results)
        choices = [
            html.A(
                text,
                href=address.with_option(option.key, value if index else None).href,
                className="choice" + (" chosen" if value == chosen else ""),
                role="button",
                **{"data-go": "1", "aria-pressed": str(value == chosen).lower()},
            )
            for index, (value, text) in enumerate(option.choices)
            if value not in withheld
        ]
        if len(choices) < 2:
            continue
        name = html.Span(option.name, className="option-name")
        bar.append(
            html.Div(
                [name, html.Div(choices, className="segments")],
                className="option",
                role="group",
                **{"aria-label": option.name},
            )
        )
    return bar


def chip_bar(results: Results, address: Address) -> list[Component]:
    """Return a chip for each active filter and for the picks; its link removes it."""
    selection = address.selection
    return _picks(results, address) + [
        _chip(f"{name}: {text}", address.with_selection(without), f"Remove the filter {name}")
        for name, text, without in filters.chips(selection, results)
    ]


def _picks(results: Results, address: Address) -> list[Component]:
    """Return a chip for each pick, which lets go of it, and links to let go of all and to show only these."""
    selection = address.selection
    picked = sorted(selection.picked, key=lambda name: results.labels.get(name, name))
    if not picked:
        return []
    chips: list[Component] = [html.Span("Picked", className="picked-word")]
    for name in picked[:_MOST_CHIPS]:
        without = address.with_selection(replace(selection, picked=selection.picked - {name}))
        label = results.labels.get(name, name)
        chips.append(_chip(label, without, f"Let go of {label}", "picked"))
    clear = replace(selection, picked=frozenset())
    if len(picked) > 1:
        more = len(picked) - _MOST_CHIPS
        text = f"and {more} more: clear all" if more > 0 else "Clear all"
        chips.append(_link(text, address.with_selection(clear), "Let go of all picks (Esc)", "clear-picks"))
    keep = address.with_selection(replace(clear, only=selection.picked))
    return [*chips, _link("Keep only these", keep, "Show only picked variants", "keep-picked")]


def _chip(text: str, target: Address, title: str, kind: str = "") -> Component:
    parts = [html.Span(text), html.Span("×", className="close", **{"aria-hidden": "true"})]
    return html.A(parts, href=target.href, className=f"chip {kind}".strip(), title=title, **{"data-go": "1"})


def _link(text: str, target: Address, title: str, name: str) -> Component:
    return html.A(text, href=target.href, className="tool", id=name, title=title, **{"data-go": "1"})


def find_list(results: Results) -> list[Any]:
    """Return the options of “Find a variant”."""
    rows = results.measured.sort("label").select("variant_id", "label").iter_rows()
    return [html.Div(label, role="option", **{"data-variant": name}) for name, label in rows]
