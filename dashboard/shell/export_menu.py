"""The toolbar's export menu; `assets/export.js` handles clicks on `data-export`."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html
from dash.development.base_component import Component

_PICTURES = (("png-1", "PNG 1×"), ("png-2", "2×"), ("png-4", "4×"), ("svg", "SVG"), ("pdf", "PDF"))
_DATA = (("csv", "CSV"), ("parquet", "Parquet"))
_ALL = (
    ("pptx", "PowerPoint deck", "a slide per view, insights as notes"),
    ("pptx-editable", "PowerPoint deck with editable charts", "for charts that PowerPoint can draw"),
    ("pdf-slides", "PDF of the slides", "as vectors, a slide a page"),
    ("zip", "ZIP of pictures and data", "PNG, CSV, Parquet, report"),
    ("html", "One HTML file", "opens offline, keeps hover and zoom"),
    ("md", "Markdown report", "for a repository or a model card"),
)
_THEMES = (("screen", "as shown"), ("light", "light"), ("dark", "dark"))
_LAYOUTS = (("slide", "slide, 16:9"), ("screen", "as shown"))


def export_menu() -> list[Component]:
    """Return the menu: this view as a picture or data, and all views in one file."""
    list_ = [
        html.H3("This view"),
        _choice("layout", "Layout", _LAYOUTS),
        _choice("theme", "Colours", _THEMES),
        html.Div([_button(key, text) for key, text in _PICTURES], className="export-row needs-view"),
        html.Div(
            [_button("copy", "Copy picture"), *(_button(key, text) for key, text in _DATA)],
            className="export-row needs-view",
        ),
        html.H3("All views, as selected"),
        *(_line(*entry) for entry in _ALL),
    ]
    parts = [html.Summary("Export", className="tool"), html.Div(list_, className="menu-list export-list")]
    return [html.Details(parts, className="menu", id="export")]


def _choice(key: str, name: str, choices: Sequence[tuple[str, str]]) -> Component:
    """Return radio buttons; the first is chosen."""
    buttons = [
        html.Button(
            text,
            type="button",
            className="choice" + (" chosen" if index == 0 else ""),
            **{"data-set": key, "data-value": value, "aria-pressed": str(index == 0).lower()},
        )
        for index, (value, text) in enumerate(choices)
    ]
    segments = html.Div(buttons, className="segments")
    return html.Div(
        [html.Span(name, className="option-name"), segments],
        className="option",
        role="group",
        **{"aria-label": name},
    )


def _button(key: str, text: str) -> Component:
    return html.Button(text, type="button", className="tool", **{"data-export": key})


def _line(key: str, text: str, hint: str) -> Component:
    return html.Button(
        [html.Span(text), html.Small(hint)], type="button", className="menu-item", **{"data-export": key}
    )
