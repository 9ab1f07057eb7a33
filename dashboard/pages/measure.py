"""The page that measures files on this machine: a place that its script fills."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

TITLE = "Measure your own files"
CAPTION = "Everything runs on this machine, as the command shown would in a terminal."


def body() -> Component:
    """Return the place of the form and of the run's progress."""
    return html.Div(id="measure", className="measure")
